// Theory of operation
//
// The kernel walks its `ip rule`s one by one, for every packet. So the rules are a tree of lists,
// each of which ends with a jump to our last rule, which does nothing:
//
//   fwmark 0 goto unmarked       what has no namespace's fwmark
//   fwmark 0x1 lookup …          each namespace's table, or a jump to the list of those alike;
//                                to its network only, where the table is shared (table_sharing.h)
//   unmarked: iif lo goto end    the gateway's own
//   from 10.0.0.0/24 blackhole   a tenant's, but without its fwmark: by the rules of netfilter it
//                                would have one, so they are gone, or its interface has another
//                                name
//   end: nop
//
// A namespace's table has each of its networks twice: by the interface, and as unreachable. The
// kernel takes the first away when the interface goes down. Without the second, what is for the
// tenant would then be routed like everything else, back to the outside.
//
// Jumps lead to rules of higher priority, which are added first.
#include "rules/routes/policy_route.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <variant>

#include "rules/config/fwmark_table.h"
#include "rules/config/networks.h"
#include "rules/routes/routing_messages.h"
#include "rules/routes/table_sharing.h"
#include "rules/system/netlink.h"
#include "rules/text/kernel_error.h"
#include "rules/wanted/bit_tree.h"
#include "rules/wanted/member_range.h"

namespace swnat::rules {
namespace {

// A kernel can be told to do without IPv6. Then nothing of ours can be there.
bool has_family(Family family) {
  return family == Family::ipv4 || access("/proc/sys/net/ipv6", F_OK) == 0;
}

void add_current(Family family, const InterfaceNames& interfaces, NetlinkSocket& socket,
                 PolicyRouting& current) {
  if (!has_family(family)) return;
  const auto listed = [&](void (*ask)(Family, nlmsghdr&), std::string_view what) {
    return socket.dump([&](nlmsghdr& message) { ask(family, message); },
                       fmt::format("listing ip {} {}", ip_option(family), what));
  };
  for_each_netlink_message(listed(ask_for_rules, "rules"), [&](const nlmsghdr& message) {
    if (auto rule = rule_in(message)) current.rules.push_back(std::move(*rule));
  });
  for_each_netlink_message(listed(ask_for_routes, "routes"), [&](const nlmsghdr& message) {
    if (auto route = route_in(message, interfaces)) current.routes.push_back(std::move(*route));
  });
}

PolicyRouting current_of(const Interfaces& interfaces, NetlinkSocket& socket) {
  PolicyRouting current;
  const InterfaceNames names = interface_names(interfaces);
  for (const Family family : all_families) add_current(family, names, socket, current);
  return current;
}

struct RoutingChange {
  bool is_removal = false;
  std::variant<IpRule, FwmarkRoute> what;
};

std::string to_text(const RoutingChange& change) {
  if (const auto* rule = std::get_if<IpRule>(&change.what)) {
    return fmt::format("ip {} rule {} {}", ip_option(rule->family),
                       change.is_removal ? "del" : "add", to_text(*rule));
  }
  const auto& route = std::get<FwmarkRoute>(change.what);
  return fmt::format("ip {} route {} {}", ip_option(route.family),
                     change.is_removal ? "del" : "replace", to_text(route));
}

// The table that a rule leads to, if it leads to one.
std::optional<std::uint32_t> table_of(const IpRule& rule) {
  constexpr std::string_view lookup = "lookup ";
  const std::size_t place = rule.what.rfind(lookup);
  std::uint32_t table = 0;
  if (place == std::string::npos) return std::nullopt;
  const char* end = rule.what.data() + rule.what.size();
  if (std::from_chars(rule.what.data() + place + lookup.size(), end, table).ptr != end)
    return std::nullopt;
  return table;
}

std::set<std::uint32_t> tables_of(const std::set<IpRule>& rules, Family family) {
  std::set<std::uint32_t> tables;
  for (const IpRule& rule : rules) {
    const auto table = table_of(rule);
    if (table && rule.family == family) tables.insert(*table);
  }
  return tables;
}

// Of one family, those in the one set only; higher priorities first.
std::vector<IpRule> in_one_only(const std::set<IpRule>& one, const std::set<IpRule>& other,
                                Family family) {
  std::vector<IpRule> all;
  for (auto rule = one.rbegin(); rule != one.rend(); ++rule) {
    if (rule->family == family && !other.contains(*rule)) all.push_back(*rule);
  }
  return all;
}

// What leads from the one to the other in this family. Rules that go come before those that come,
// since the kernel does not tell two apart that differ in where they lead only. Meanwhile the rules
// of netfilter hold back what would go astray.
//
// For each rule that changes, the kernel visits all tables and routes of IPv6. So routes of tables
// that no rule led to so far come last, and those of tables that none leads to any more go first.
// Rules make tables too: those that make one of their own come after the others, although the
// kernel then looks long for their place.
std::vector<RoutingChange> changes(const PolicyRouting& current, const PolicyRouting& wanted,
                                   const Interfaces& interfaces, Family family) {
  const std::set<IpRule> old_rules(current.rules.begin(), current.rules.end());
  const std::set<IpRule> new_rules(wanted.rules.begin(), wanted.rules.end());
  const std::set<std::uint32_t> old_tables = tables_of(old_rules, family);
  const std::set<std::uint32_t> new_tables = tables_of(new_rules, family);
  std::vector<IpRule> added = in_one_only(new_rules, old_rules, family);
  std::stable_partition(added.begin(), added.end(), [&](const IpRule& rule) {
    const auto table = table_of(rule);
    return family == Family::ipv4 || !table || *table == shared_route_table ||
           old_tables.contains(*table);
  });

  const std::set<FwmarkRoute> old_routes(current.routes.begin(), current.routes.end());
  std::set<std::tuple<std::uint32_t, std::string, bool>> kept;
  std::vector<RoutingChange> all;
  std::vector<RoutingChange> last;
  for (const FwmarkRoute& route : wanted.routes) {
    if (route.family != family) continue;
    if (!route.interface.empty() && !interfaces.has_up(route.interface)) continue;
    kept.insert({route.table, route.to, route.interface.empty()});
    if (old_routes.contains(route)) continue;
    (old_tables.contains(route.table) ? all : last).push_back({false, route});
  }
  for (const FwmarkRoute& route : current.routes) {
    if (route.family != family || kept.contains({route.table, route.to, route.interface.empty()}))
      continue;
    (new_tables.contains(route.table) ? last : all).push_back({true, route});
  }
  for (const IpRule& rule : in_one_only(old_rules, new_rules, family)) all.push_back({true, rule});
  for (const IpRule& rule : added) all.push_back({false, rule});
  all.insert(all.end(), last.begin(), last.end());
  return all;
}

void make(const std::vector<RoutingChange>& all, const Interfaces& interfaces,
          NetlinkSocket& socket) {
  socket.change({all.size(),
                 [&](std::size_t i, nlmsghdr& message) {
                   const auto& [is_removal, what] = all[i];
                   if (const auto* rule = std::get_if<IpRule>(&what)) {
                     put_rule(*rule, is_removal, message);
                   } else {
                     put_route(std::get<FwmarkRoute>(what), is_removal, interfaces, message);
                   }
                 },
                 [&](std::size_t i) { return to_text(all[i]); }});
}

// One family's rules, in order.
class RuleList {
 public:
  RuleList(Family family, std::uint32_t mask, const std::map<std::uint32_t, IpNetwork>& sharing)
      : family_(family), mask_(mask), sharing_(sharing) {}

  std::string selector(const BitString& bits, bool is_fwmark) const;
  // Where a namespace's fwmark leads.
  std::string lookup(std::uint32_t fwmark) const;
  void add(std::uint32_t priority, std::string what) {
    rules_.push_back({family_, priority, std::move(what)});
  }
  // The list of a node from `priority` on, then those below it. Returns the first priority behind
  // them. Each list takes three: its rules, then the one for a fwmark of zeros, its end.
  std::uint32_t add_tree(const BitNode& node, std::uint32_t priority, bool is_fwmark);
  void close(std::uint32_t last_priority);

  std::vector<IpRule> take() { return std::move(rules_); }

 private:
  Family family_;
  std::uint32_t mask_;
  const std::map<std::uint32_t, IpNetwork>& sharing_;
  std::vector<IpRule> rules_;
  std::vector<std::uint32_t> ends_;  // where lists jump to the last rule
};

std::string RuleList::selector(const BitString& bits, bool is_fwmark) const {
  if (is_fwmark) {
    const std::uint32_t first = bits.length == 0 ? 0 : ~std::uint32_t{0} << (32 - bits.length);
    return fmt::format("fwmark {:#x}/{:#x}", number_of(bits), mask_ & first);
  }
  return fmt::format("from {}", to_text(network_of(bits, family_)));
}

std::string RuleList::lookup(std::uint32_t fwmark) const {
  const auto shares = sharing_.find(fwmark);
  if (shares != sharing_.end()) {
    return fmt::format("to {} lookup {}", to_text(shares->second), shared_route_table);
  }
  // A fwmark whose table would not fit was refused when the configuration was checked.
  return fmt::format("lookup {}", route_table(fwmark, mask_).value());
}

std::uint32_t RuleList::add_tree(const BitNode& node, std::uint32_t priority, bool is_fwmark) {
  const std::uint32_t own = priority;
  const std::uint32_t end = priority + 2;
  priority += 3;
  for (const BitString& leaf : node.leaves) {
    const std::string action = is_fwmark ? lookup(number_of(leaf)) : std::string("blackhole");
    add(own, fmt::format("{} {}", selector(leaf, is_fwmark), action));
  }
  for (const BitNode& child : node.children) {
    // The kernel takes a fwmark of 0 for any when it looks for a rule to delete.
    const bool is_zero = is_fwmark && number_of(child.prefix) == 0;
    add(is_zero ? own + 1 : own,
        fmt::format("{} goto {}", selector(child.prefix, is_fwmark), priority));
    priority = add_tree(child, priority, is_fwmark);
  }
  ends_.push_back(end);
  return priority;
}

void RuleList::close(std::uint32_t last_priority) {
  for (const std::uint32_t end : ends_) add(end, fmt::format("goto {}", last_priority));
  add(last_priority, "nop");
}

std::vector<IpRule> ip_rules(const Config& config, Family family,
                             const std::vector<std::uint32_t>& fwmarks,
                             const std::vector<IpNetwork>& networks,
                             const std::map<std::uint32_t, IpNetwork>& sharing) {
  if (fwmarks.empty() && networks.empty()) return {};
  RuleList list(family, config.fwmark_mask, sharing);
  std::vector<BitString> marks;
  for (const std::uint32_t fwmark : fwmarks) marks.push_back(bits_of(fwmark));
  std::uint32_t priority = first_rule_priority + 1;
  if (!marks.empty()) priority = list.add_tree(bit_tree(std::move(marks)), priority, true);
  list.add(first_rule_priority,
           fmt::format("fwmark 0x0/{:#x} goto {}", config.fwmark_mask, priority));
  const std::uint32_t unmarked = priority++;
  std::vector<BitString> sources;
  for (const IpNetwork& each : networks) sources.push_back(bits_of(each));
  if (!sources.empty()) priority = list.add_tree(bit_tree(std::move(sources)), priority, false);
  list.add(unmarked, fmt::format("iif lo goto {}", priority));
  list.close(priority);
  return list.take();
}

void add_routes(const NamespaceConfig& each, std::uint32_t table, Family family,
                std::vector<FwmarkRoute>& routes) {
  const std::string& interface = each.interfaces.front();
  for (const std::string& subnet : texts(each.subnets, family)) {
    routes.push_back({family, table, subnet, "", interface});
    routes.push_back({family, table, subnet, "", ""});
  }
  for (const Route& route : each.routes) {
    if (family_of(route.to) != family) continue;
    routes.push_back({family, table, to_text(route.to), to_text(route.via), interface});
    routes.push_back({family, table, to_text(route.to), "", ""});
  }
}

// Of whoever becomes a member: what there is before it comes, and after it went.
void add_member_routes(const std::vector<MemberRange>& ranges, Family family,
                       std::vector<std::uint32_t>& fwmarks, std::vector<FwmarkRoute>& routes) {
  for (const MemberRange& range : ranges) {
    const std::vector<std::string> subnets = texts(range.subnets, family);
    if (subnets.empty()) continue;
    for (const std::uint32_t fwmark : member_fwmarks({range})) {
      fwmarks.push_back(fwmark);
      const std::uint32_t table = member_route_table(fwmark);
      for (const std::string& subnet : subnets) routes.push_back({family, table, subnet, "", ""});
    }
  }
}

}  // namespace

PolicyRouting policy_routing(const Config& config, const std::vector<RemovedTenant>& removed) {
  PolicyRouting routing;
  const std::vector<MemberRange> ranges = member_ranges(config);
  const std::vector<IpNetwork> networks = tenant_networks(config, removed);
  for (const Family family : all_families) {
    const std::map<std::uint32_t, IpNetwork> sharing = sharing_networks(config, family);
    std::vector<std::uint32_t> fwmarks;
    for (const NamespaceConfig& each : config.namespaces) {
      if (each.interfaces.empty() || texts(each.subnets, family).empty()) continue;
      fwmarks.push_back(each.fwmark_first());
      const std::uint32_t table =
          sharing.contains(each.fwmark_first())
              ? shared_route_table
              : route_table(each.fwmark_first(), config.fwmark_mask).value();
      add_routes(each, table, family, routing.routes);
    }
    add_member_routes(ranges, family, fwmarks, routing.routes);
    std::vector<IpNetwork> own;
    for (const IpNetwork& each : networks) {
      if (family_of(each) == family) own.push_back(each);
    }
    std::vector<IpRule> rules = ip_rules(config, family, fwmarks, own, sharing);
    std::sort(rules.begin(), rules.end());
    routing.rules.insert(routing.rules.end(), rules.begin(), rules.end());
  }
  return routing;
}

std::string to_text(const IpRule& rule) {
  return fmt::format("pref {} protocol {} {}", rule.priority, route_protocol, rule.what);
}

std::string to_text(const FwmarkRoute& route) {
  if (route.interface.empty()) {
    return fmt::format("unreachable {} metric {} table {} proto {}", route.to,
                       last_metric(route.table), route.table, route_protocol);
  }
  const std::string via = route.via.empty() ? "" : fmt::format("via {} ", route.via);
  return fmt::format("{} {}dev {} table {} proto {}", route.to, via, route.interface, route.table,
                     route_protocol);
}

PolicyRouting current_policy_routing(const Interfaces& interfaces) {
  NetlinkSocket socket(NETLINK_ROUTE);
  return current_of(interfaces, socket);
}

void apply_routing(const PolicyRouting& wanted) {
  NetlinkSocket socket(NETLINK_ROUTE);
  const Interfaces interfaces = current_interfaces();
  const PolicyRouting current = current_of(interfaces, socket);
  for (const Family family : all_families) {
    make(changes(current, wanted, interfaces, family), interfaces, socket);
  }
}

std::vector<FwmarkRoute> member_routes(const std::vector<IpNetwork>& subnets, std::uint32_t fwmark,
                                       const std::string& interface) {
  std::vector<FwmarkRoute> routes;
  for (const IpNetwork& each : subnets) {
    routes.push_back({family_of(each), member_route_table(fwmark), to_text(each), "", interface});
  }
  return routes;
}

std::vector<std::size_t> change_routes(const std::vector<FwmarkRoute>& routes, bool is_removal,
                                       const Interfaces& interfaces) {
  std::vector<RoutingChange> all;
  for (const FwmarkRoute& each : routes) all.push_back({is_removal, each});
  NetlinkSocket socket(NETLINK_ROUTE);
  try {
    make(all, interfaces, socket);
    return {};
  } catch (const KernelError&) {
    // One of them, which is no reason to leave out the others.
  }
  std::vector<std::size_t> failed;
  for (std::size_t i = 0; i < all.size(); ++i) {
    try {
      make({all[i]}, interfaces, socket);
    } catch (const KernelError&) {
      if (!is_removal) failed.push_back(i);
    }
  }
  return failed;
}

}  // namespace swnat::rules
