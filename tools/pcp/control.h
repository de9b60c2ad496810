// The daemon as this program sees it: questions over the control socket, and answers some time
// later.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace swnat::pcp {

using Json = nlohmann::ordered_json;

class Control {
 public:
  // The first line of the answer, and the others of a list as "lines" in it; null if there is none,
  // because the daemon is away or slow.
  using Done = std::function<void(const Json* answer)>;

  virtual ~Control() = default;
  // False, and nothing comes of it, while too many others wait. Never calls `done` itself.
  virtual bool ask(const Json& request, Done done) = 0;
};

// Under this name the daemon keeps what is forwarded on request.
inline constexpr const char* owner = "pcp";

// Reading answers, which may be anything: empty or 0 where there is no such thing.
bool is_ok(const Json& answer);
std::string text_in(const Json& json, const char* key);
std::chrono::seconds seconds_in(const Json& json, const char* key);

// "tcp" or "udp".
const char* name_of(std::uint8_t protocol);
std::uint8_t protocol_in(const Json& json);

}  // namespace swnat::pcp
