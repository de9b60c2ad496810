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

// A line of the answer. A file name may hold bytes that are no text.
std::string control_line(const nlohmann::ordered_json& json);

}  // namespace swnat::nfq
