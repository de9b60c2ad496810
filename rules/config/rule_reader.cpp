#include "rules/config/rule_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "rules/config/value_reader.h"
#include "swnat/protocol.h"

namespace swnat::rules {
namespace {

std::optional<std::uint8_t> read_protocol(TableReader& table,
                                          std::initializer_list<std::string_view> allowed) {
  constexpr std::uint8_t numbers[] = {protocol::tcp, protocol::udp, protocol::icmp};
  if (!table.has("protocol")) {
    table.missing("protocol", fmt::format("one of \"{}\"", fmt::join(allowed, "\", \"")));
  }
  const auto choice = table.choice("protocol", allowed);
  if (!choice) return std::nullopt;
  return numbers[choice->value];
}

}  // namespace

DropDraft read_drop(TableReader& table) {
  DropDraft draft;
  draft.protocol = read_protocol(table, {"tcp", "udp", "icmp"});
  const auto ports = read_port_or_ports(table, "port");
  if (ports) draft.ports = ports->value;
  if (ports && draft.protocol == protocol::icmp) {
    table.fault("port", ports->line, "\"icmp\" has no ports; leave the key out");
  }
  draft.namespace_name = table.text("namespace");
  return draft;
}

RedirectDraft read_redirect(TableReader& table) {
  RedirectDraft draft;
  draft.protocol = read_protocol(table, {"tcp", "udp"});
  draft.from = read_endpoint(table, "from", "the destination that tenants use");
  draft.to = read_endpoint(table, "to", "the destination that packets get instead");
  draft.namespace_name = table.text("namespace");
  return draft;
}

ForwardDraft read_forward(TableReader& table, std::uint32_t max_sessions) {
  ForwardDraft draft;
  draft.protocol = read_protocol(table, {"tcp", "udp"});
  draft.external = read_endpoint(table, "external", "where packets come in");
  draft.namespace_name = table.text("namespace");
  draft.to = read_endpoint(table, "to", "the endpoint within the namespace");
  if (!table.has("namespace")) table.missing("namespace", "the name of the tenant that has \"to\"");
  draft.session_limit = table.number("session_limit", 1, max_sessions);
  return draft;
}

}  // namespace swnat::rules
