#include "tools/pcp/control.h"

#include <cmath>

#include "swnat/protocol.h"

namespace swnat::pcp {

const char* name_of(std::uint8_t protocol) {
  return protocol == protocol::tcp ? "tcp" : "udp";
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::chrono::seconds seconds_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number()) return {};
  return std::chrono::seconds(std::llround(found->get<double>()));
}

bool is_ok(const Json& answer) {
  const auto found = answer.find("ok");
  return found != answer.end() && found->is_boolean() && found->get<bool>();
}

std::uint8_t protocol_in(const Json& json) {
  return text_in(json, "protocol") == "tcp" ? protocol::tcp : protocol::udp;
}

}  // namespace swnat::pcp
