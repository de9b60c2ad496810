#include "tools/pcp/log.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace swnat::pcp {
namespace {

// A pipe that takes anything takes so much at once.
constexpr std::size_t longest_line = 4096;

}  // namespace

void write_log(Priority priority, std::string_view line) {
  static const bool is_read_by_journal =
      rules::is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  std::string text = fmt::format("swnat-pcp: {}", line.substr(0, longest_line - 32));
  // What a tenant wrote may be anything.
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  text = is_read_by_journal ? rules::with_priority(priority, text) : text + '\n';
  pollfd out{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&out, 1, 0) != 1) return;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace swnat::pcp
