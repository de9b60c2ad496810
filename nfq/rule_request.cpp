#include "nfq/rule_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "nfq/added_rules_json.h"
#include "nfq/error.h"
#include "nfq/namespace_request.h"
#include "nfq/protocol_name.h"
#include "rules/config/networks.h"
#include "rules/text/duration.h"
#include "rules/text/printable.h"
#include "swnat/protocol.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t longest_owner = 32;
constexpr std::size_t longest_note = 128;
constexpr std::int64_t longest_lifetime = std::numeric_limits<std::uint32_t>::max();

constexpr std::string_view keys_of_terms[] = {"lifetime", "owner", "note"};
constexpr std::string_view keys_beside_forward[] = {"lifetime", "owner", "note", "any_port"};

// The text under a key; nothing if the key is not there.
std::optional<std::string> text_at(const Json& request, const char* key) {
  const auto found = request.find(key);
  if (found == request.end()) return {};
  if (!found->is_string()) throw Error(fmt::format("'{}' must be text", key));
  return found->get<std::string>();
}

bool is_printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

std::string note_in(const Json& request) {
  std::string note = text_at(request, "note").value_or("");
  const bool has_controls = std::ranges::any_of(
      note, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
  if (note.size() > longest_note || has_controls) {
    throw Error(fmt::format("'note' must be text of at most {} bytes, without control characters",
                            longest_note));
  }
  return note;
}

std::optional<std::chrono::seconds> lifetime_in(const Json& request) {
  const auto found = request.find("lifetime");
  if (found == request.end()) return {};
  std::optional<std::chrono::seconds> time;
  if (found->is_string()) {
    time = rules::parse_duration(found->get_ref<const std::string&>());
  } else if (found->is_number_integer() && *found <= longest_lifetime) {
    time.emplace(found->get<std::int64_t>());
  }
  if (time && time->count() >= 1 && time->count() <= longest_lifetime) return time;
  throw Error(
      fmt::format("'lifetime' must be a number of seconds from 1 to {}, or text like 90s, "
                  "1h or 1d12h; without it the rule stays until it is removed",
                  longest_lifetime));
}

Terms terms_in(const Json& request, Time now) {
  Terms terms{.owner = requested_owner(request).value_or(std::string(operator_owner)),
              .note = note_in(request)};
  if (const auto lifetime = lifetime_in(request)) terms.ends = now + *lifetime;
  return terms;
}

// What is left is the rule's.
Json without(Json request, std::span<const std::string_view> keys) {
  request.erase("command");
  for (const std::string_view key : keys) request.erase(std::string(key));
  return request;
}

// An external endpoint of which the port may be missing or 0.
void read_external(const std::string& text, ForwardRequest& wanted) {
  if (const auto endpoint = parse_endpoint(text)) {
    wanted.address = endpoint->address;
    wanted.port = endpoint->port;
    return;
  }
  std::string_view address = text;
  if (!parse_address(address) && address.ends_with(":0")) {
    address.remove_suffix(2);
    if (address.starts_with('[') && address.ends_with(']')) {
      address = address.substr(1, address.size() - 2);
    }
  }
  wanted.address = parse_address(address);
  if (wanted.address) return;
  throw Error(
      fmt::format("'{}' is no external endpoint (allowed: one like 203.0.113.1:8080 or "
                  "[2001:db8::1]:8080, or only an address, for which a free port is "
                  "chosen, or none at all)",
                  rules::printable(text)));
}

// Of the family of "to", for the checks; which one it is to be is chosen later.
IpAddress some_external(const Json& request, const rules::Config& config) {
  const auto to = parse_endpoint(text_at(request, "to").value_or(""));
  for (const IpAddress& one : config.external_addresses) {
    if (!to || rules::is_ipv6(one) == rules::is_ipv6(to->address)) return one;
  }
  throw Error(
      fmt::format("there is no external address of the family of {}", to_text(to->address)));
}

template <class Read>
auto read_rule(Read read) {
  try {
    return read();
  } catch (const rules::RuleFault& fault) {
    throw Error(fault.what());
  }
}

IpEndpoint endpoint_in(const Json& request, const char* key) {
  const std::string text = text_at(request, key).value_or("");
  const auto endpoint = parse_endpoint(text);
  if (!endpoint) {
    throw Error(
        fmt::format("'{}' must be an address and port like 203.0.113.1:80 or "
                    "[2001:db8::1]:80, not '{}'",
                    key, rules::printable(text)));
  }
  return *endpoint;
}

std::optional<std::uint8_t> protocol_in(const Json& request) {
  const auto text = text_at(request, "protocol");
  if (!text) return {};
  const auto number = protocol_number(*text);
  if (!number || (!has_ports(*number) && *number != protocol::icmp)) {
    throw Error(
        fmt::format("'protocol' must be tcp, udp or icmp, not '{}'", rules::printable(*text)));
  }
  return number;
}

}  // namespace

std::optional<std::string> requested_owner(const Json& request) {
  auto owner = text_at(request, "owner");
  if (owner && (owner->empty() || owner->size() > longest_owner || !is_printable(*owner))) {
    throw Error(
        fmt::format("'owner' must be 1 to {} printable characters of ASCII", longest_owner));
  }
  return owner;
}

ForwardRequest requested_forward(const Json& request, const rules::Config& config, Time now) {
  ForwardRequest result{.wanted = {.forward = {}, .terms = terms_in(request, now)}};
  if (const auto any = request.find("any_port"); any != request.end()) {
    if (!any->is_boolean()) throw Error("'any_port' must be true or false");
    result.any_port = any->get<bool>();
  }
  if (const auto external = text_at(request, "external")) read_external(*external, result);
  Json rule = without(request, keys_beside_forward);
  const IpAddress address = result.address ? *result.address : some_external(request, config);
  rule["external"] = to_text(IpEndpoint{address, result.port.value_or(1)});
  result.wanted.forward = read_rule(
      [&] { return rules::read_lone_forward(rule_keys(rule), config, keys_beside_forward); });
  return result;
}

AddedDrop requested_drop(const Json& request, const rules::Config& config, Time now) {
  const Json rule = without(request, keys_of_terms);
  return {.drop = read_rule(
              [&] { return rules::read_lone_drop(rule_keys(rule), config, keys_of_terms); }),
          .terms = terms_in(request, now)};
}

bool ForwardChoice::means(const ForwardRule& rule, const std::string& its_namespace) const {
  if (rule.protocol != protocol) return false;
  if (external && rule.external != *external) return false;
  return !to || (rule.to == *to && namespace_name == its_namespace);
}

bool ForwardChoice::means(const AddedForward& one) const {
  return (!owner || *owner == one.terms.owner) &&
         means(one.forward.rule, one.forward.namespace_name);
}

ForwardChoice chosen_forwards(const Json& request) {
  const auto protocol = protocol_in(request);
  if (!protocol || !has_ports(*protocol)) throw Error("'protocol' must be tcp or udp");
  ForwardChoice choice{.protocol = *protocol, .owner = requested_owner(request)};
  if (request.contains("external")) choice.external = endpoint_in(request, "external");
  const auto name = text_at(request, "namespace");
  if (name || request.contains("to")) {
    if (!name) throw Error("'namespace' must be there, beside 'to'");
    choice.namespace_name = *name;
    choice.to = endpoint_in(request, "to");
  }
  if (!choice.external && !choice.to) {
    throw Error("which forward is meant? (allowed: 'external', or 'namespace' and 'to')");
  }
  return choice;
}

bool RuleFilter::has(std::uint8_t its_protocol, const NamespaceRange& its_namespaces) const {
  if (protocol && *protocol != its_protocol) return false;
  return !namespaces || std::ranges::any_of(*namespaces, [&](const NamespaceRange& one) {
    return one.first <= its_namespaces.last && its_namespaces.first <= one.last;
  });
}

RuleFilter requested_rules(const Json& request, const rules::Config& config) {
  RuleFilter filter{.owner = requested_owner(request), .protocol = protocol_in(request)};
  if (const auto name = text_at(request, "namespace")) {
    filter.namespaces = requested_namespaces(*name, config);
  }
  return filter;
}

}  // namespace swnat::nfq
