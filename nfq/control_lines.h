// The lines of JSON that answers on the control socket consist of (control_server.h).
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "nfq/control_client.h"
#include "swnat/address_text.h"
#include "swnat/traffic.h"

namespace swnat::nfq {

using Json = nlohmann::ordered_json;

std::string line(const Json& json);
ControlAnswer refuse(const std::string& why);
// The answer of a command that lists things; `more` as in ControlAnswer.
ControlAnswer list(std::function<bool(std::string& text)> more);

Json traffic_json(const Traffic& traffic);
double seconds(std::chrono::milliseconds time);
std::string text_of(const IpEndpoint& endpoint, bool has_port);

}  // namespace swnat::nfq
