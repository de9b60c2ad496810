#include "nfq/event_json.h"

#include <fmt/format.h>

#include <chrono>
#include <string>

#include "nfq/control_lines.h"
#include "nfq/protocol_name.h"
#include "swnat/address_text.h"

namespace swnat::nfq {
namespace {

double seconds_since_1970(Time ago) {
  const auto time = std::chrono::system_clock::now().time_since_epoch() - ago;
  return static_cast<double>(std::chrono::duration_cast<Time>(time).count()) / 1000;
}

void add_endpoint(Json& json, const char* key, const IpEndpoint& endpoint, bool has_port) {
  if (!is_specified(endpoint)) return;
  json[key] = has_port ? to_text(endpoint) : to_text(endpoint.address);
}

void add_block(Json& json, const Event& event) {
  json["external"] = to_text(event.external.address);
  const std::uint64_t last = event.external.port + event.count - 1;
  json["ports"] = fmt::format("{}-{}", event.external.port, last);
}

void add_session(Json& json, const Event& event) {
  const std::uint8_t protocol = event.protocol;
  json["protocol"] = protocol_name(protocol);
  add_endpoint(json, "internal", event.internal, has_ports_or_ids(protocol));
  add_endpoint(json, "external", event.external, has_ports_or_ids(protocol));
  add_endpoint(json, "remote", event.remote, has_ports(protocol));
  json["direction"] = event.is_from_outside ? "inbound" : "outbound";
  if (event.is_forward) json["forward"] = true;
  if (event.cause != EndCause::none) json["cause"] = name_of(event.cause);
  if (event.kind == EventKind::refused) {
    json["reason"] = reasons[static_cast<std::size_t>(event.reason)].name;
  }
  if (event.kind == EventKind::session_ended) {
    json["age"] = seconds(event.age);
    json["outbound"] = traffic_json(event.traffic.outbound);
    json["inbound"] = traffic_json(event.traffic.inbound);
  }
}

}  // namespace

Json event_json(const Event& event, const rules::Config& config, Time ago) {
  Json json{{"time", seconds_since_1970(ago)}, {"event", name_of(event.kind)}};
  if (event.kind == EventKind::lost) {
    if (event.lost_kind != EventKind::lost) json["of"] = name_of(event.lost_kind);
    json["count"] = event.count;
    return json;
  }
  const bool is_block =
      event.kind == EventKind::block_taken || event.kind == EventKind::block_given_up;
  json["namespace"] = rules::namespace_name(config, event.namespace_id);
  json["fwmark"] = event.namespace_id;
  is_block ? add_block(json, event) : add_session(json, event);
  return json;
}

}  // namespace swnat::nfq
