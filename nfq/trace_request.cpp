#include "nfq/trace_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "nfq/error.h"
#include "nfq/namespace_request.h"
#include "nfq/protocol_name.h"
#include "rules/config/networks.h"
#include "swnat/address_text.h"
#include "swnat/protocol.h"

namespace swnat::nfq {
namespace {

using Request = nlohmann::ordered_json;

// Where the request says none. It is none that services have.
constexpr std::uint16_t assumed_port = 40'000;

std::optional<std::string> text_in(const Request& request, const char* key) {
  const auto found = request.find(key);
  if (found == request.end()) return {};
  if (!found->is_string()) throw Error(fmt::format("'{}' must be text", key));
  return found->get<std::string>();
}

std::uint8_t protocol_in(const Request& request) {
  const auto text = text_in(request, "protocol");
  const auto number = text ? protocol_number(*text) : std::nullopt;
  if (number && (has_ports_or_ids(*number) || protocol::is_portless(*number))) return *number;
  throw Error(fmt::format("{} (allowed: tcp, udp, icmp, gre, esp, sctp, ipip, ipv6, l2tp)",
                          text ? fmt::format("'{}' is no protocol that is translated", *text)
                               : "a protocol must be named"));
}

// Whether an end has a port: each of its kind must, may, or has none.
enum class Port : std::uint8_t { required, optional, none };

struct End {
  IpAddress address;
  std::optional<std::uint16_t> port;
};

// "10.0.0.2:80", "[fd00::2]:80", or an address alone.
End read_end(std::string_view text, std::string_view what, Port port) {
  const std::string_view like = port == Port::none ? "an address like 198.51.100.7 or 2001:db8::7"
                                : port == Port::required
                                    ? "an address and a port, 198.51.100.7:443 or [2001:db8::7]:443"
                                    : "an address, or one with a port or ICMP identifier, "
                                      "10.0.0.2:40000 or [fd00::2]:40000";
  const auto refuse = [&](std::string_view why) {
    throw Error(fmt::format("--{} '{}' {} (allowed: {})", what, text, why, like));
  };
  if (const auto address = parse_address(text)) {
    if (port == Port::required) refuse("has no port");
    return {*address, {}};
  }
  const auto endpoint = parse_endpoint(text);
  if (!endpoint) refuse("is no endpoint");
  if (port == Port::none) refuse("has a port, but its protocol has none there");
  return {endpoint->address, endpoint->port};
}

End required_end(const Request& request, const char* what, Port port) {
  const auto text = text_in(request, what);
  if (!text) {
    throw Error(
        fmt::format("--{} is missing (a packet on its way out has --namespace and --to, "
                    "one that comes in has --external and --remote)",
                    what));
  }
  return read_end(*text, what, port);
}

// The first host's of the namespace's first network of the family.
IpAddress assumed_source(const rules::NamespaceConfig& tenant, const IpAddress& remote) {
  for (const IpNetwork& network : tenant.networks()) {
    const IpAddress first = rules::address_of(network);
    if (first.index() != remote.index()) continue;
    const auto next = []<class Address>(Address address) -> IpAddress {
      auto* bytes = reinterpret_cast<std::uint8_t*>(&address.wire);
      bytes[sizeof address.wire - 1] |= 1;
      return address;
    };
    const bool is_host = rules::length_of(network) == (rules::is_ipv6(first) ? 128 : 32);
    return is_host ? first : std::visit(next, first);
  }
  throw Error(fmt::format("'{}' has no subnet of the family of {}; give --from", tenant.name,
                          to_text(remote)));
}

void require_one_family(const IpAddress& a, std::string_view a_name, const IpAddress& b,
                        std::string_view b_name) {
  if (a.index() == b.index()) return;
  throw Error(fmt::format("--{} {} and --{} {} are of different families", a_name, to_text(a),
                          b_name, to_text(b)));
}

void read_outbound(const Request& request, const rules::Config& config, TraceRequest& trace) {
  Question& question = trace.question;
  const bool is_portless = protocol::is_portless(question.protocol);
  const bool has_port = has_ports(question.protocol);
  const End to = required_end(request, "to", has_port ? Port::required : Port::none);
  const auto name = text_in(request, "namespace");
  if (!name)
    throw Error("--namespace is missing: the packet's sender (for one that comes in: --external)");
  question.namespace_id = one_namespace(*name, config);
  const rules::NamespaceConfig& tenant = *rules::find_namespace(config, question.namespace_id);
  trace.tenant = rules::namespace_name(config, question.namespace_id);
  if (!tenant.interfaces.empty()) trace.interface = tenant.interfaces.front();
  trace.is_of_member = !tenant.members.empty();
  question.destination = {to.address, to.port.value_or(0)};
  End from;
  if (const auto text = text_in(request, "from")) {
    from = read_end(*text, "from", is_portless ? Port::none : Port::optional);
    require_one_family(from.address, "from", to.address, "to");
  } else {
    from.address = assumed_source(tenant, to.address);
    trace.is_source_assumed = true;
  }
  trace.is_source_port_assumed = !from.port && !is_portless;
  question.source = {from.address,
                     is_portless ? std::uint16_t{0} : from.port.value_or(assumed_port)};
}

void read_inbound(const Request& request, const rules::Config& config, TraceRequest& trace) {
  Question& question = trace.question;
  question.direction = Direction::inbound;
  for (const char* other : {"to", "from", "namespace"}) {
    if (request.contains(other)) {
      throw Error(fmt::format("--{} is of a packet on its way out, --external of one that comes in",
                              other));
    }
  }
  const bool is_portless = protocol::is_portless(question.protocol);
  const bool has_port = has_ports(question.protocol);
  // The identifier is the external end's.
  const End external = required_end(request, "external", is_portless ? Port::none : Port::required);
  const End remote = required_end(request, "remote", has_port ? Port::required : Port::none);
  require_one_family(external.address, "external", remote.address, "remote");
  if (std::ranges::find(config.external_addresses, external.address) ==
      config.external_addresses.end()) {
    std::vector<std::string> all;
    for (const IpAddress& each : config.external_addresses) all.push_back(to_text(each));
    throw Error(fmt::format("--external {} is no external address (allowed: {})",
                            to_text(external.address), fmt::join(all, ", ")));
  }
  question.source = {remote.address, remote.port.value_or(0)};
  question.destination = {external.address, external.port.value_or(0)};
  trace.interface = config.external_interface;
}

}  // namespace

TraceRequest requested_trace(const nlohmann::ordered_json& request, const rules::Config& config) {
  TraceRequest trace;
  trace.question.protocol = protocol_in(request);
  if (request.contains("external") || request.contains("remote")) {
    read_inbound(request, config, trace);
  } else {
    read_outbound(request, config, trace);
  }
  // As in packets of the family.
  const bool is_icmp =
      trace.question.protocol == protocol::icmp || trace.question.protocol == protocol::icmpv6;
  if (is_icmp) {
    trace.question.protocol =
        rules::is_ipv6(trace.question.source.address) ? protocol::icmpv6 : protocol::icmp;
  }
  return trace;
}

}  // namespace swnat::nfq
