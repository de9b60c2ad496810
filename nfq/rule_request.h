// Which rules a request of the control protocol wants added, removed or listed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "nfq/added_rules.h"
#include "nfq/control_lines.h"
#include "rules/config/config.h"

namespace swnat::nfq {

// All throw Error, which says what is wrong and what is allowed. `now`: when lifetimes begin.

// Who adds rules unless the request says so.
inline constexpr std::string_view operator_owner = "operator";

struct ForwardRequest {
  // Where the external port is to be chosen, it is a port of no meaning here.
  AddedForward wanted;
  std::optional<IpAddress> address = {};   // the external one, if it is given
  std::optional<std::uint16_t> port = {};  // likewise
  bool any_port = false;                   // another one will do where that is taken

  bool is_exact() const { return port && !any_port; }
};

// By the keys of a [[forward]], of which "external" may lack the port or be missing, and "lifetime"
// (seconds or text like 1h; without it for ever), "owner", "note" and "any_port".
ForwardRequest requested_forward(const Json& request, const rules::Config& config, Time now);
// By the keys of a [[drop]], and "lifetime", "owner" and "note".
AddedDrop requested_drop(const Json& request, const rules::Config& config, Time now);

// Which forwards are meant: that of an external endpoint, or those that lead somewhere.
struct ForwardChoice {
  std::uint8_t protocol = 6;
  std::optional<IpEndpoint> external = {};
  std::string namespace_name = {};  // with `to`
  std::optional<IpEndpoint> to = {};
  std::optional<std::string> owner = {};

  bool means(const ForwardRule& rule, const std::string& its_namespace) const;
  bool means(const AddedForward& one) const;
};
ForwardChoice chosen_forwards(const Json& request);

// Which rules are to be listed: by "owner", text, "namespace", as in requested_namespaces(), and
// "protocol".
struct RuleFilter {
  std::optional<std::string> owner = {};
  std::optional<std::vector<NamespaceRange>> namespaces = {};
  std::optional<std::uint8_t> protocol = {};

  bool has_owner(std::string_view its) const { return !owner || *owner == its; }
  bool has(std::uint8_t its_protocol, const NamespaceRange& its_namespaces) const;
};
RuleFilter requested_rules(const Json& request, const rules::Config& config);

std::optional<std::string> requested_owner(const Json& request);

}  // namespace swnat::nfq
