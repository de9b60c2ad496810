#include "tools/swnatctl_rates.h"

#include <cmath>

namespace swnat::ctl {
namespace {

constexpr const char* directions[] = {"outbound", "inbound"};
constexpr const char* kinds[] = {"packets", "bytes"};

}  // namespace

Rates::Counts Rates::counts_of(const Json& item) {
  Counts counts;
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t k = 0; k < 2; ++k) {
      counts.counts[i][k] = item.at(directions[i]).at(kinds[k]).get<std::uint64_t>();
    }
  }
  return counts;
}

void Rates::note(const Json& item) {
  before_[item.at("fwmark").get<std::uint32_t>()] = counts_of(item);
}

void Rates::add_to(Json& item, std::chrono::duration<double> later) const {
  const auto found = before_.find(item.at("fwmark").get<std::uint32_t>());
  const Counts before = found == before_.end() ? Counts{} : found->second;
  const Counts after = counts_of(item);
  Json rates;
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t k = 0; k < 2; ++k) {
      // A daemon that was started anew in between counts from 0.
      const std::uint64_t now = after.counts[i][k];
      const std::uint64_t then = before.counts[i][k] > now ? 0 : before.counts[i][k];
      const double a_second = static_cast<double>(now - then) / later.count();
      rates[directions[i]][kinds[k]] = std::round(a_second * 10) / 10;
    }
  }
  item["rates"] = std::move(rates);
}

}  // namespace swnat::ctl
