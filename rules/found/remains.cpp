#include "rules/found/remains.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "rules/found/listing.h"
#include "rules/routes/policy_route.h"
#include "rules/system/interfaces.h"
#include "rules/text/lines.h"

namespace swnat::rules {
namespace {

// "a", "a and b", "a, b and c".
std::string joined(const std::vector<std::string>& all) {
  if (all.size() < 2) return fmt::format("{}", fmt::join(all, ""));
  return fmt::format("{} and {}", fmt::join(all.begin(), all.end() - 1, ", "), all.back());
}

}  // namespace

std::string remains_of_up() {
  std::vector<std::string> found;
  if (!list_nft_rules().empty()) found.emplace_back("nft table inet swnat");
  const Listing iptables = list_iptables_rules(false);
  const auto chains = static_cast<std::size_t>(std::ranges::count_if(
      iptables, [](const auto& part) { return part.first.starts_with("chain "); }));
  if (chains != 0) found.push_back(fmt::format("{} of iptables", counted(chains, "chain")));
  const PolicyRouting routing = current_policy_routing(current_interfaces());
  if (!routing.rules.empty()) found.push_back(counted(routing.rules.size(), "ip rule"));
  if (!routing.routes.empty()) found.push_back(counted(routing.routes.size(), "route"));
  return joined(found);
}

std::vector<std::string> others_that_queue(const std::vector<QueueRule>& rules,
                                           const Config& config) {
  std::map<std::string, std::set<std::uint16_t>> queues_of;
  for (const QueueRule& rule : rules) {
    if (rule.is_ours) continue;
    if (std::ranges::none_of(
            rule.queues, [&](std::uint16_t queue) { return is_daemons_queue(queue, config); })) {
      continue;
    }
    queues_of[rule.where].insert(rule.queues.begin(), rule.queues.end());
  }
  std::vector<std::string> places;
  for (const auto& [where, queues] : queues_of) {
    places.push_back(fmt::format("{} (queue{} {})", where, queues.size() == 1 ? "" : "s",
                                 fmt::join(queues, ", ")));
  }
  return places;
}

}  // namespace swnat::rules
