#include "rules/config/rule_reader.h"

#include "rules/config/value_reader.h"
#include "swnat/protocol.h"

namespace swnat::rules {
namespace {

using Protocol = Choice<std::uint8_t>;

constexpr Protocol with_ports[] = {{"tcp", protocol::tcp}, {"udp", protocol::udp}};
constexpr Protocol all_protocols[] = {with_ports[0], with_ports[1], {"icmp", protocol::icmp}};

std::optional<std::uint8_t> read_protocol(TableReader& table, std::span<const Protocol> allowed) {
  if (!table.has("protocol")) table.missing("protocol", "one of " + texts_of(allowed));
  const auto protocol = table.choice("protocol", allowed);
  return protocol ? std::optional(protocol->value) : std::nullopt;
}

}  // namespace

DropDraft read_drop(TableReader& table) {
  DropDraft draft;
  draft.protocol = read_protocol(table, all_protocols);
  const auto ports = read_port_or_ports(table, "port");
  assign(draft.rule.ports, ports);
  if (ports && draft.protocol == protocol::icmp) {
    table.fault("port", ports->line, "\"icmp\" has no ports; leave the key out");
  }
  draft.namespace_name = table.text("namespace");
  return draft;
}

RedirectDraft read_redirect(TableReader& table) {
  RedirectDraft draft;
  draft.protocol = read_protocol(table, with_ports);
  draft.from = read_endpoint(table, "from", "the destination that tenants use");
  draft.to = read_endpoint(table, "to", "the destination that packets get instead");
  draft.namespace_name = table.text("namespace");
  return draft;
}

ForwardDraft read_forward(TableReader& table, std::uint32_t max_sessions) {
  ForwardDraft draft;
  draft.protocol = read_protocol(table, with_ports);
  draft.external = read_endpoint(table, "external", "where packets come in");
  draft.namespace_name = table.text("namespace");
  draft.to = read_endpoint(table, "to", "the endpoint within the namespace");
  if (!table.has("namespace")) table.missing("namespace", "the name of the tenant that has \"to\"");
  assign(draft.rule.session_limit, table.number("session_limit", 1, max_sessions));
  return draft;
}

}  // namespace swnat::rules
