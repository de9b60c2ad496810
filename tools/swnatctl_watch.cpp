#include "tools/swnatctl_watch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include "tools/event_line.h"
#include "tools/swnatctl_answer.h"
#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_output.h"

namespace swnat::ctl {
namespace {

// Lines are written whole and at once, so there is nothing to finish.
void end_by_signal(int) {
  ::_exit(0);
}

}  // namespace

int watch(const std::string& socket, const Json& request, std::chrono::seconds patience,
          bool as_json) {
  std::signal(SIGINT, end_by_signal);
  Connection connection(socket, text_of_request(request), patience);
  take_first_line(connection, socket);
  if (!as_json && print(event_heads) != 0) return 1;
  while (const auto line = connection.next_line()) {
    if (line->empty()) continue;  // only says that the daemon is there
    if (print(as_json ? *line + '\n' : event_line(Json::parse(*line))) != 0) return 1;
  }
  throw Error(fmt::format("{}: the daemon ended", socket));
}

}  // namespace swnat::ctl
