#include "tools/top_model.h"

#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>

namespace swnat::ctl {
namespace {

std::string names_of(const TopRow& row) {
  std::string names = row.name;
  for (const std::string* each : {&row.protocol, &row.internal, &row.external, &row.remote}) {
    if (!each->empty()) names += ' ' + *each;
  }
  return names;
}

bool is_less(const TopTraffic& a, const TopTraffic& b) {
  return a.packets < b.packets || a.bytes < b.bytes;
}

double rate(std::uint64_t before, std::uint64_t after, double seconds) {
  return static_cast<double>(after - before) / seconds;
}

double value(const TopLine& line, TopSort sort) {
  constexpr double unknown = -1;
  switch (sort) {
    case TopSort::bytes:
      return line.rates ? line.rates->bytes_out + line.rates->bytes_in : unknown;
    case TopSort::packets:
      return line.rates ? line.rates->packets_out + line.rates->packets_in : unknown;
    case TopSort::outbound:
      return line.rates ? line.rates->bytes_out : unknown;
    case TopSort::inbound:
      return line.rates ? line.rates->bytes_in : unknown;
    case TopSort::sessions:
      return static_cast<double>(line.row.sessions);
    case TopSort::made:
      return line.rates ? line.rates->sessions_made : unknown;
    case TopSort::ports:
      return static_cast<double>(line.row.ports);
    case TopSort::name:
      break;
  }
  return 0;
}

bool contains(const std::string& names, const std::string& filter) {
  const auto is_same = [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  };
  return std::search(names.begin(), names.end(), filter.begin(), filter.end(), is_same) !=
             names.end() ||
         filter.empty();
}

}  // namespace

const char* name_of(TopSort sort) {
  return std::ranges::find(top_sort_keys, sort, &TopSortKey::sort)->name;
}

TopRates& TopRates::operator+=(const TopRates& other) {
  packets_out += other.packets_out;
  bytes_out += other.bytes_out;
  packets_in += other.packets_in;
  bytes_in += other.bytes_in;
  sessions_made += other.sessions_made;
  return *this;
}

// A daemon that was started again counts from 0 on: then nothing is known of the time between.
void TopModel::take(TopReading reading) {
  const double seconds = std::chrono::duration<double>(reading.time - time_).count();
  if (seconds <= 0) before_.clear();
  std::unordered_map<std::string, Before> now;
  lines_.clear();
  for (TopRow& row : reading.rows) {
    std::string names = names_of(row);
    TopLine line{std::move(row), {}};
    const TopRow& after = line.row;
    const auto found = before_.find(names);
    if (found != before_.end() && !is_less(after.outbound, found->second.outbound) &&
        !is_less(after.inbound, found->second.inbound) &&
        after.sessions_made >= found->second.sessions_made) {
      const auto& [outbound, inbound, sessions_made] = found->second;
      line.rates = TopRates{rate(outbound.packets, after.outbound.packets, seconds),
                            rate(outbound.bytes, after.outbound.bytes, seconds),
                            rate(inbound.packets, after.inbound.packets, seconds),
                            rate(inbound.bytes, after.inbound.bytes, seconds),
                            rate(sessions_made, after.sessions_made, seconds)};
    }
    now.insert_or_assign(std::move(names),
                         Before{after.outbound, after.inbound, after.sessions_made});
    lines_.push_back(std::move(line));
  }
  before_ = std::move(now);
  by_ = reading.by;
  time_ = reading.time;
  is_cut_ = reading.is_cut;
}

std::vector<const TopLine*> TopModel::lines(const TopOrder& order) const {
  struct Sorted {
    double value;
    std::string names;
    const TopLine* line;
  };
  std::vector<Sorted> some;
  for (const TopLine& line : lines_) {
    std::string names = names_of(line.row);
    if (!contains(names, order.filter)) continue;
    some.push_back({value(line, order.sort), std::move(names), &line});
  }
  std::ranges::sort(some, [](const Sorted& a, const Sorted& b) {
    return std::tie(b.value, a.names) < std::tie(a.value, b.names);
  });
  if (order.is_reverse) std::ranges::reverse(some);
  std::vector<const TopLine*> sorted;
  for (const Sorted& each : some) sorted.push_back(each.line);
  return sorted;
}

TopRates TopModel::total() const {
  TopRates total;
  for (const TopLine& line : lines_) {
    if (line.rates) total += *line.rates;
  }
  return total;
}

std::uint64_t TopModel::sessions() const {
  if (by_ == TopBy::sessions) return lines_.size();
  std::uint64_t sessions = 0;
  for (const TopLine& line : lines_) sessions += line.row.sessions;
  return sessions;
}

}  // namespace swnat::ctl
