#include "rules/policy_route.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rules/address_text.h"
#include "rules/fwmark_table.h"
#include "rules/kernel.h"
#include "rules/process.h"

namespace swnat::rules {
namespace {

using Json = nlohmann::json;

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

template <class T>
bool has(const std::vector<T>& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
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

void add_current(Family family, PolicyRouting& current) {
  if (!has_family(family)) return;
  const std::string option(ip_option(family));
  for (const Json& rule : ask({"ip", option, "-N", "-json", "rule", "show"})) {
    const FwmarkRule found{family, number(rule, "fwmark"), number(rule, "fwmask"),
                           number(rule, "table")};
    if (number(rule, "priority") != rule_priority || !is_ours(found.table)) continue;
    // Without a mask in the answer all bits count.
    current.rules.push_back(
        {family, found.fwmark, found.mask == 0 ? 0xffff'ffff : found.mask, found.table});
  }
  for (const Json& route : ask({"ip", option, "-N", "-json", "route", "show", "table", "all",
                                "proto", std::to_string(route_protocol)})) {
    const FwmarkRoute found{family, number(route, "table"),
                            network_text(text(route, "dst"), family), text(route, "gateway"),
                            text(route, "dev")};
    if (is_ours(found.table)) current.routes.push_back(found);
  }
}

// What leads from the one to the other in this family, for `ip -batch`.
std::string changes(const PolicyRouting& current, const PolicyRouting& wanted, Family family) {
  std::string batch;
  for (const FwmarkRule& rule : current.rules) {
    if (rule.family != family || has(wanted.rules, rule)) continue;
    batch += fmt::format("rule del {}\n", to_text(rule));
  }
  for (const FwmarkRoute& route : current.routes) {
    if (route.family != family) continue;
    // What is only replaced must not be missing in between.
    const bool stays =
        std::any_of(wanted.routes.begin(), wanted.routes.end(), [&](const auto& other) {
          return other.family == family && other.table == route.table && other.to == route.to;
        });
    if (!stays) batch += fmt::format("route del {}\n", to_text(route));
  }
  for (const FwmarkRoute& route : wanted.routes) {
    if (route.family != family || has(current.routes, route)) continue;
    batch += fmt::format("route replace {}\n", to_text(route));
  }
  for (const FwmarkRule& rule : wanted.rules) {
    if (rule.family != family || has(current.rules, rule)) continue;
    batch += fmt::format("rule add {}\n", to_text(rule));
  }
  return batch;
}

}  // namespace

PolicyRouting policy_routing(const Config& config) {
  PolicyRouting routing;
  for (const NamespaceConfig& each : config.namespaces) {
    if (each.interfaces.empty()) continue;
    // A fwmark whose table would not fit was refused when the configuration was checked.
    const std::uint32_t table = route_table(each.fwmark_first, config.fwmark_mask).value();
    const std::string& interface = each.interfaces.front();
    for (const Family family : all_families) {
      const std::vector<std::string> subnets = texts(each.subnets, family);
      if (subnets.empty()) continue;
      routing.rules.push_back({family, each.fwmark_first, config.fwmark_mask, table});
      for (const std::string& subnet : subnets) {
        routing.routes.push_back({family, table, subnet, "", interface});
      }
      for (const Route& route : each.routes) {
        if (family_of(route.to) != family) continue;
        routing.routes.push_back({family, table, to_text(route.to), to_text(route.via), interface});
      }
    }
  }
  return routing;
}

std::string_view ip_option(Family family) {
  return family == Family::ipv4 ? "-4" : "-6";
}

std::string to_text(const FwmarkRule& rule) {
  return fmt::format("pref {} fwmark {:#x}/{:#x} lookup {}", rule_priority, rule.fwmark, rule.mask,
                     rule.table);
}

std::string to_text(const FwmarkRoute& route) {
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
  for (const Family family : all_families) {
    const std::string batch = changes(current, wanted, family);
    if (!batch.empty()) run_or_throw({"ip", std::string(ip_option(family)), "-batch", "-"}, batch);
  }
}

}  // namespace swnat::rules
