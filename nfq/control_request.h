// One line of the control protocol, taken apart.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace swnat::nfq {

struct ControlRequest {
  std::string command;
  nlohmann::ordered_json json;  // an object, the command among its keys
};

// Throws Error.
ControlRequest parse_control_request(std::string_view line);

}  // namespace swnat::nfq
