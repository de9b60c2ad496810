#include "nfq/control_lines.h"

#include <utility>

namespace swnat::nfq {

std::string line(const Json& json) {
  // A file name may hold bytes that are no text.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

ControlAnswer refuse(const std::string& why) {
  return {line({{"ok", false}, {"error", why}})};
}

ControlAnswer list(std::function<bool(std::string& text)> more) {
  return {line({{"ok", true}}), [more = std::move(more)](std::string& text) {
            const bool goes_on = more(text);
            if (!goes_on) text += line({{"end", true}});
            return goes_on;
          }};
}

Json traffic_json(const Traffic& traffic) {
  return {{"packets", traffic.packets}, {"bytes", traffic.bytes}};
}

double seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

std::string text_of(const IpEndpoint& endpoint, bool has_port) {
  return has_port ? to_text(endpoint) : to_text(endpoint.address);
}

}  // namespace swnat::nfq
