#include "nfq/control_request.h"

#include "nfq/error.h"

namespace swnat::nfq {

using Json = nlohmann::ordered_json;

ControlRequest parse_control_request(std::string_view line) {
  Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) {
    throw Error("the request must be one line of JSON like {\"command\":\"status\"}");
  }
  auto command = json["command"].get<std::string>();
  return {std::move(command), std::move(json)};
}

}  // namespace swnat::nfq
