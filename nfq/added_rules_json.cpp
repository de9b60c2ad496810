#include "nfq/added_rules_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "nfq/error.h"
#include "nfq/protocol_name.h"
#include "swnat/limits.h"
#include "swnat/protocol.h"

namespace swnat::nfq {
namespace {

constexpr PortRange all_ports{1, 65535};

void add_terms(Json& json, const Terms& terms, Time now) {
  json["origin"] = "run time";
  json["owner"] = terms.owner;
  if (!terms.note.empty()) json["note"] = terms.note;
  if (terms.ends) json["lifetime_left"] = seconds(std::max(*terms.ends - now, Time{0}));
}

Json kept_terms(const Terms& terms) {
  Json json{{"owner", terms.owner}, {"note", terms.note}};
  if (terms.ends) json["ends"] = terms.ends->count();
  return json;
}

// Each throws Json::exception for what is not there, or of another kind.

Terms terms_of(const Json& json) {
  Terms terms{.owner = json.at("owner").get<std::string>(),
              .note = json.at("note").get<std::string>()};
  if (json.contains("ends")) terms.ends = Time(json["ends"].get<std::int64_t>());
  return terms;
}

std::uint8_t protocol_of(const Json& json) {
  const auto number = protocol_number(json.at("protocol").get_ref<const std::string&>());
  if (!number) throw Error("it has an unknown protocol");
  return *number;
}

IpEndpoint endpoint_of(const Json& json) {
  const auto endpoint = parse_endpoint(json.get_ref<const std::string&>());
  if (!endpoint) throw Error("it has an endpoint that is none");
  return *endpoint;
}

AddedForward forward_of(const Json& json) {
  AddedForward one{.forward = {}, .terms = terms_of(json)};
  one.forward.namespace_name = json.at("namespace").get<std::string>();
  one.forward.rule = {.protocol = protocol_of(json),
                      .external = endpoint_of(json.at("external")),
                      .to = endpoint_of(json.at("to")),
                      .session_limit = json.value("session_limit", 0u)};
  if (!has_ports(one.forward.rule.protocol) || one.forward.rule.session_limit > sessions_max) {
    throw Error("it has a forward that is none");
  }
  return one;
}

AddedDrop drop_of(const Json& json) {
  AddedDrop one{.number = json.at("number").get<std::uint64_t>(),
                .drop = {.protocol = protocol_of(json)},
                .terms = terms_of(json)};
  one.drop.ports = {json.at("first").get<std::uint16_t>(), json.at("last").get<std::uint16_t>()};
  if (json.contains("namespace")) one.drop.namespace_name = json["namespace"].get<std::string>();
  const bool is_known = has_ports(one.drop.protocol) || one.drop.protocol == protocol::icmp;
  if (!is_known || one.drop.ports.first > one.drop.ports.last) {
    throw Error("it has a drop that is none");
  }
  return one;
}

}  // namespace

Json json_of(const ForwardRule& rule, std::string_view namespace_name) {
  Json json{{"protocol", protocol_name(rule.protocol)},
            {"external", to_text(rule.external)},
            {"namespace", namespace_name},
            {"to", to_text(rule.to)}};
  if (rule.session_limit != 0) json["session_limit"] = rule.session_limit;
  return json;
}

Json json_of(const DropRule& rule, std::string_view namespace_name) {
  Json json{{"protocol", protocol_name(rule.protocol)}};
  if (rule.ports.first == rule.ports.last) {
    json["port"] = rule.ports.first;
  } else if (rule.ports != all_ports) {
    json["port"] = fmt::format("{}-{}", rule.ports.first, rule.ports.last);
  }
  if (!namespace_name.empty()) json["namespace"] = namespace_name;
  return json;
}

Json json_of(const AddedForward& one, Time now) {
  Json json = json_of(one.forward.rule, one.forward.namespace_name);
  add_terms(json, one.terms, now);
  return json;
}

Json json_of(const AddedDrop& one, Time now) {
  const DropRule rule{.protocol = one.drop.protocol, .ports = one.drop.ports};
  Json json{{"number", one.number}};
  json.update(json_of(rule, one.drop.namespace_name.value_or("")));
  add_terms(json, one.terms, now);
  return json;
}

rules::RuleKeys rule_keys(const Json& object) {
  rules::RuleKeys keys;
  for (const auto& [key, value] : object.items()) {
    if (value.is_string()) {
      keys.emplace_back(key, value.get<std::string>());
    } else if (value.is_boolean()) {
      keys.emplace_back(key, value.get<bool>());
    } else if (value.is_number_integer() && value <= std::numeric_limits<std::int64_t>::max()) {
      keys.emplace_back(key, value.get<std::int64_t>());
    } else {
      throw Error(fmt::format("'{}' must be text or a whole number",
                              Json(key).dump(-1, ' ', false, Json::error_handler_t::replace)));
    }
  }
  return keys;
}

std::string kept_text(const AddedRules& all, std::uint64_t boot) {
  Json forwards = Json::array();
  for (const AddedForward& one : all.forwards()) {
    Json& json = forwards.emplace_back(json_of(one.forward.rule, one.forward.namespace_name));
    json.update(kept_terms(one.terms));
  }
  Json drops = Json::array();
  for (const AddedDrop& one : all.drops()) {
    Json& json = drops.emplace_back(Json{{"number", one.number},
                                         {"protocol", protocol_name(one.drop.protocol)},
                                         {"first", one.drop.ports.first},
                                         {"last", one.drop.ports.last}});
    if (one.drop.namespace_name) json["namespace"] = *one.drop.namespace_name;
    json.update(kept_terms(one.terms));
  }
  return line({{"swnat_added_rules", 1}, {"boot", boot}, {"forwards", forwards}, {"drops", drops}});
}

AddedRules kept_rules(std::string_view text, std::uint64_t boot) {
  try {
    const Json json = Json::parse(text);
    if (json.at("swnat_added_rules") != 1) throw Error("it is of another version");
    if (json.at("boot") != boot) throw Error("it is of an earlier start of the machine");
    std::vector<AddedForward> forwards;
    std::vector<AddedDrop> drops;
    for (const Json& one : json.at("forwards")) forwards.push_back(forward_of(one));
    for (const Json& one : json.at("drops")) drops.push_back(drop_of(one));
    if (forwards.size() + drops.size() > AddedRules::most) throw Error("it has too many rules");
    AddedRules rules;
    rules.restore(std::move(forwards), std::move(drops));
    return rules;
  } catch (const Json::exception&) {
    throw Error("it holds no rules");
  }
}

}  // namespace swnat::nfq
