#include "nfq/log_record.h"

#include <iterator>

#include "nfq/append.h"
#include "nfq/protocol_name.h"
#include "rules/text/utc_text.h"
#include "swnat/address_text.h"

namespace swnat::nfq {
namespace {

// Names are an operator's, and may hold anything that TOML allows.
void append_text(std::string& text, std::string_view value) {
  text += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte < ' ') {
      append(text, "\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      text += c;
    }
  }
  text += '"';
}

void append_endpoint(std::string& text, std::string_view key, const IpEndpoint& endpoint,
                     bool has_port) {
  append(text, R"(,"{}":"{}")", key, has_port ? to_text(endpoint) : to_text(endpoint.address));
}

void append_block(std::string& text, const Event& event) {
  const std::uint64_t last = event.external.port + event.count - 1;
  append(text, R"(,"external":"{}-{}")", to_text(event.external), last);
}

void append_traffic(std::string& text, std::string_view key, const Traffic& traffic) {
  append(text, R"(,"{}":{{"packets":{},"bytes":{}}})", key, traffic.packets, traffic.bytes);
}

void append_translation(std::string& text, const Event& event, bool destinations) {
  append(text, R"(,"protocol":"{}")", protocol_name(event.protocol));
  const bool has_port = has_ports_or_ids(event.protocol);
  append_endpoint(text, "internal", event.internal, has_port);
  append_endpoint(text, "external", event.external, has_port);
  if (destinations && is_specified(event.remote)) {
    append_endpoint(text, "remote", event.remote, has_ports(event.protocol));
  }
  if (event.is_forward) text += R"(,"forward":true)";
  if (event.cause != EndCause::none) append(text, R"(,"cause":"{}")", name_of(event.cause));
  if (event.kind == EventKind::session_ended) {
    append_traffic(text, "outbound", event.traffic.outbound);
    append_traffic(text, "inbound", event.traffic.inbound);
  }
}

}  // namespace

void append_json(std::string& text, const LogRecord& record, bool destinations) {
  const Event& event = record.event;
  append(text, R"({{"time":"{}","event":"{}")", rules::utc_text(record.time),
         record.begins ? "begun" : name_of(event.kind));
  if (record.begins) {
    append(text, R"(,"sessions":{}}})", event.count);
    text += '\n';
    return;
  }
  if (event.kind == EventKind::lost) {
    if (event.lost_kind != EventKind::lost) append(text, R"(,"of":"{}")", name_of(event.lost_kind));
    append(text, R"(,"count":{}}})", event.count);
    text += '\n';
    return;
  }
  text += R"(,"namespace":)";
  append_text(text, record.namespace_name);
  append(text, R"(,"fwmark":{})", event.namespace_id);
  if (event.kind == EventKind::block_taken || event.kind == EventKind::block_given_up) {
    append_block(text, event);
  } else {
    append_translation(text, event, destinations);
  }
  text += "}\n";
}

}  // namespace swnat::nfq
