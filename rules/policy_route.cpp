#include "rules/policy_route.h"

#include <fmt/format.h>

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

}  // namespace

PolicyRouting policy_routing(const Config& config) {
  PolicyRouting routing;
  for (const NamespaceConfig& each : config.namespaces) {
    if (each.interfaces.empty()) continue;
    // A fwmark whose table would not fit was refused when the configuration was checked.
    const std::uint32_t table = route_table(each.fwmark_first, config.fwmark_mask).value();
    const std::string& interface = each.interfaces.front();
    routing.rules.push_back({each.fwmark_first, config.fwmark_mask, table});
    for (const auto& subnet : of_family<Network<Ipv4Address>>(each.subnets)) {
      routing.routes.push_back({table, to_text(subnet), "", interface});
    }
    for (const Route& route : each.routes) {
      if (is_ipv6(route.to)) continue;
      routing.routes.push_back({table, to_text(route.to), to_text(route.via), interface});
    }
  }
  return routing;
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
  for (const Json& rule : ask({"ip", "-4", "-N", "-json", "rule", "show"})) {
    const FwmarkRule found{number(rule, "fwmark"), number(rule, "fwmask"), number(rule, "table")};
    if (number(rule, "priority") != rule_priority || !is_ours(found.table)) continue;
    // Without a mask in the answer all bits count.
    current.rules.push_back(
        {found.fwmark, found.mask == 0 ? 0xffff'ffff : found.mask, found.table});
  }
  for (const Json& route : ask({"ip", "-4", "-N", "-json", "route", "show", "table", "all", "proto",
                                std::to_string(route_protocol)})) {
    FwmarkRoute found{number(route, "table"), text(route, "dst"), text(route, "gateway"),
                      text(route, "dev")};
    if (!is_ours(found.table)) continue;
    if (found.to.find('/') == std::string::npos) found.to += "/32";
    current.routes.push_back(std::move(found));
  }
  return current;
}

void apply(const PolicyRouting& wanted) {
  const PolicyRouting current = current_policy_routing();
  std::string batch;
  for (const FwmarkRule& rule : current.rules) {
    if (!has(wanted.rules, rule)) batch += fmt::format("rule del {}\n", to_text(rule));
  }
  for (const FwmarkRoute& route : current.routes) {
    // What is only replaced must not be missing in between.
    const bool stays = std::any_of(
        wanted.routes.begin(), wanted.routes.end(),
        [&](const auto& other) { return other.table == route.table && other.to == route.to; });
    if (!stays) batch += fmt::format("route del {}\n", to_text(route));
  }
  for (const FwmarkRoute& route : wanted.routes) {
    if (!has(current.routes, route)) batch += fmt::format("route replace {}\n", to_text(route));
  }
  for (const FwmarkRule& rule : wanted.rules) {
    if (!has(current.rules, rule)) batch += fmt::format("rule add {}\n", to_text(rule));
  }
  if (!batch.empty()) run_or_throw({"ip", "-4", "-batch", "-"}, batch);
}

}  // namespace swnat::rules
