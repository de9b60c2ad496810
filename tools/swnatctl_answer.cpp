#include "tools/swnatctl_answer.h"

#include <fmt/format.h>

#include <utility>

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

Answer::Answer(const std::string& socket, const Json& request, std::chrono::seconds patience)
    : socket_(socket),
      connection_(socket, text_of_request(request), patience),
      document_(take_first_line(connection_, socket)) {}

bool Answer::next() {
  auto line = connection_.next_line();
  if (!line) {
    throw Error(fmt::format("{}: the daemon ended its answer early; try again", socket_));
  }
  line_ = std::move(*line);
  item_ = Json::parse(line_);
  if (!item_.contains("end")) return true;
  end_ = std::move(item_);
  end_.erase("end");
  return false;
}

}  // namespace swnat::ctl
