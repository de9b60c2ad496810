// Theory of operation
//
// The kernel walks its `ip rule`s one by one, for every packet. So the rules are a tree of lists,
// each of which ends with a jump to our last rule, which does nothing:
//
//   fwmark 0 goto unmarked       what has no namespace's fwmark
//   fwmark 0x1 lookup …          each namespace's table, or a jump to the list of those alike
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
#include "rules/policy_route.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "rules/bit_tree.h"
#include "rules/fwmark_table.h"
#include "rules/interfaces.h"
#include "rules/kernel.h"
#include "rules/networks.h"
#include "rules/process.h"

namespace swnat::rules {
namespace {

using Json = nlohmann::json;

// Behind all routes by an interface, whatever their metric. Another one for each table: the kernel
// looks for a route alike in all tables by a hash in which, for one that is unreachable, only the
// metric differs. Thousands with one metric are compared one by one for each that is added.
std::uint32_t last_metric(std::uint32_t table) {
  return 0x8000'0000 | table;
}

std::uint32_t number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return 0;
  if (found->is_number_unsigned()) return found->get<std::uint32_t>();
  if (!found->is_string()) return 0;
  try {
    return static_cast<std::uint32_t>(std::stoul(found->get<std::string>(), nullptr, 0));
  } catch (const std::exception&) {
    return 0;  // a table with a name, which is none of ours
  }
}

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Json ask(const std::vector<std::string>& arguments) {
  const std::string answer = run_or_throw(arguments);
  if (answer.empty()) return Json::array();
  const Json parsed = Json::parse(answer, nullptr, false);
  if (!parsed.is_array())
    throw KernelError(fmt::format("{} gave an answer that is no JSON", arguments[0]));
  return parsed;
}

bool is_ours(std::uint32_t table) {
  return table >= first_route_table && table < end_of_route_tables;
}

// A network as to_text() has it.
std::string network_text(const std::string& listed, Family family) {
  const bool is_ipv6 = family == Family::ipv6;
  if (listed == "default") return is_ipv6 ? "::/0" : "0.0.0.0/0";
  if (listed.find('/') != std::string::npos) return listed;
  return listed + (is_ipv6 ? "/128" : "/32");
}

// A kernel can be told to do without IPv6. Then nothing of ours can be there.
bool has_family(Family family) {
  return family == Family::ipv4 || access("/proc/sys/net/ipv6", F_OK) == 0;
}

// Selector and action of a listed rule, in the words of IpRule::what.
std::string listed_rule(const Json& rule) {
  std::string what;
  if (rule.contains("fwmark")) {
    // Without a mask in the answer all bits count.
    const std::uint32_t mask = rule.contains("fwmask") ? number(rule, "fwmask") : 0xffff'ffff;
    what += fmt::format("fwmark {:#x}/{:#x} ", number(rule, "fwmark"), mask);
  }
  if (rule.contains("iif")) what += fmt::format("iif {} ", text(rule, "iif"));
  if (rule.contains("srclen")) {
    what += fmt::format("from {}/{} ", text(rule, "src"), number(rule, "srclen"));
  } else if (const std::string from = text(rule, "src"); from != "all") {
    what += fmt::format("from {} ", from);
  }
  if (rule.contains("goto")) return what + fmt::format("goto {}", number(rule, "goto"));
  if (rule.contains("nop")) return what + "nop";
  if (rule.contains("table")) return what + fmt::format("lookup {}", number(rule, "table"));
  return what + "blackhole";
}

void add_current(Family family, PolicyRouting& current) {
  if (!has_family(family)) return;
  const std::string option(ip_option(family));
  for (const Json& rule : ask({"ip", option, "-N", "-json", "rule", "show"})) {
    if (number(rule, "protocol") != route_protocol) continue;
    current.rules.push_back({family, number(rule, "priority"), listed_rule(rule)});
  }
  constexpr std::uint32_t unreachable = 7;  // RTN_UNREACHABLE
  for (const Json& route : ask({"ip", option, "-N", "-json", "route", "show", "table", "all",
                                "proto", std::to_string(route_protocol)})) {
    FwmarkRoute found{family, number(route, "table"), network_text(text(route, "dst"), family),
                      text(route, "gateway"), text(route, "dev")};
    if (number(route, "type") == unreachable) found.interface = "";
    if (is_ours(found.table)) current.routes.push_back(found);
  }
}

// What leads from the one to the other in this family, for `ip -batch`. Rules that go come before
// those that come, since the kernel does not tell two apart that differ in where they lead only.
// Meanwhile the rules of netfilter hold back what would go astray.
std::string changes(const PolicyRouting& current, const PolicyRouting& wanted,
                    const Interfaces& interfaces, Family family) {
  const std::set<IpRule> old_rules(current.rules.begin(), current.rules.end());
  const std::set<IpRule> new_rules(wanted.rules.begin(), wanted.rules.end());
  const std::set<FwmarkRoute> old_routes(current.routes.begin(), current.routes.end());
  std::set<std::tuple<std::uint32_t, std::string, bool>> kept;
  std::string batch;
  for (const FwmarkRoute& route : wanted.routes) {
    if (route.family != family) continue;
    if (!route.interface.empty() && !interfaces.has_up(route.interface)) continue;
    kept.insert({route.table, route.to, route.interface.empty()});
    if (!old_routes.contains(route)) batch += fmt::format("route replace {}\n", to_text(route));
  }
  const auto in_one_only = [&](const std::set<IpRule>& one, const std::set<IpRule>& other,
                               std::string_view change) {
    for (auto rule = one.rbegin(); rule != one.rend(); ++rule) {
      if (rule->family != family || other.contains(*rule)) continue;
      batch += fmt::format("rule {} {}\n", change, to_text(*rule));
    }
  };
  in_one_only(old_rules, new_rules, "del");
  in_one_only(new_rules, old_rules, "add");
  for (const FwmarkRoute& route : current.routes) {
    if (route.family != family || kept.contains({route.table, route.to, route.interface.empty()}))
      continue;
    batch += fmt::format("route del {}\n", to_text(route));
  }
  return batch;
}

// One family's rules, in order.
class RuleList {
 public:
  RuleList(Family family, std::uint32_t mask) : family_(family), mask_(mask) {}

  std::string selector(const BitString& bits, bool is_fwmark) const;
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

std::uint32_t RuleList::add_tree(const BitNode& node, std::uint32_t priority, bool is_fwmark) {
  const std::uint32_t own = priority;
  const std::uint32_t end = priority + 2;
  priority += 3;
  for (const BitString& leaf : node.leaves) {
    const std::string action =
        is_fwmark ? fmt::format("lookup {}", route_table(number_of(leaf), mask_).value())
                  : std::string("blackhole");
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
                             const std::vector<IpNetwork>& networks) {
  if (fwmarks.empty() && networks.empty()) return {};
  RuleList list(family, config.fwmark_mask);
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

}  // namespace

PolicyRouting policy_routing(const Config& config, const std::vector<RemovedTenant>& removed) {
  PolicyRouting routing;
  const std::vector<IpNetwork> networks = tenant_networks(config, removed);
  for (const Family family : all_families) {
    std::vector<std::uint32_t> fwmarks;
    for (const NamespaceConfig& each : config.namespaces) {
      if (each.interfaces.empty() || texts(each.subnets, family).empty()) continue;
      fwmarks.push_back(each.fwmark_first);
      // A fwmark whose table would not fit was refused when the configuration was checked.
      const std::uint32_t table = route_table(each.fwmark_first, config.fwmark_mask).value();
      add_routes(each, table, family, routing.routes);
    }
    std::vector<IpNetwork> own;
    for (const IpNetwork& each : networks) {
      if (family_of(each) == family) own.push_back(each);
    }
    std::vector<IpRule> rules = ip_rules(config, family, fwmarks, own);
    std::sort(rules.begin(), rules.end());
    routing.rules.insert(routing.rules.end(), rules.begin(), rules.end());
  }
  return routing;
}

std::string_view ip_option(Family family) {
  return family == Family::ipv4 ? "-4" : "-6";
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

PolicyRouting current_policy_routing() {
  PolicyRouting current;
  for (const Family family : all_families) add_current(family, current);
  return current;
}

void apply(const PolicyRouting& wanted) {
  const PolicyRouting current = current_policy_routing();
  const Interfaces interfaces = current_interfaces();
  for (const Family family : all_families) {
    const std::string batch = changes(current, wanted, interfaces, family);
    if (!batch.empty()) run_or_throw({"ip", std::string(ip_option(family)), "-batch", "-"}, batch);
  }
}

}  // namespace swnat::rules
