#include "tools/swnatctl_answer.h"

#include <fmt/format.h>

namespace swnat::ctl {

Answer::Answer(const std::string& socket, const Json& request, std::chrono::seconds patience)
    : socket_(socket),
      // An argument may hold bytes that are no text.
      connection_(socket, request.dump(-1, ' ', false, Json::error_handler_t::replace), patience) {
  const auto first = connection_.next_line();
  if (!first) throw Error(fmt::format("{}: the daemon closed the connection", socket));
  document_ = Json::parse(*first);
  if (!document_.at("ok").get<bool>()) throw Error(document_.at("error").get<std::string>());
  document_.erase("ok");
}

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
