// Which packet a request of the control protocol asks about: {"command":"trace",…}.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "rules/config/config.h"
#include "swnat/outlook.h"

namespace swnat::nfq {

struct TraceRequest {
  Question question = {};      // its direction is outbound or inbound: what asks knows no hairpins
  std::string tenant = {};     // the sender's name; of inbound packets empty
  std::string interface = {};  // that it enters by; empty if only the operator's rules know
  bool is_of_member = false;   // of a range whose interfaces come and go: only who has them knows
  bool is_source_assumed = false;       // the request has no internal address
  bool is_source_port_assumed = false;  // nor a port, or identifier
};

// Either "namespace", "to" and perhaps "from", or "external" and "remote"; and "protocol". Throws
// Error, which says what is wrong, and what is allowed.
TraceRequest requested_trace(const nlohmann::ordered_json& request, const rules::Config& config);

}  // namespace swnat::nfq
