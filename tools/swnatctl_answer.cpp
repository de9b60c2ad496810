#include "tools/swnatctl_answer.h"

#include <fmt/format.h>

namespace swnat::ctl {

std::string text_of_request(const Json& request) {
  // An argument may hold bytes that are no text.
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json take_first_line(Connection& connection, const std::string& socket) {
  const auto line = connection.next_line();
  if (!line) throw Error(fmt::format("{}: the daemon closed the connection", socket));
  Json first = Json::parse(*line);
  if (!first.at("ok").get<bool>()) throw Refusal(first.at("error").get<std::string>());
  first.erase("ok");
  return first;
}

}  // namespace swnat::ctl
