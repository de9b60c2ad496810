#include "rules/terminal/priority.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace swnat::rules {

bool is_journal(int fd, const char* journal_stream) {
  if (journal_stream == nullptr) return false;
  struct stat file {};
  if (::fstat(fd, &file) != 0) return false;
  return fmt::format("{}:{}", file.st_dev, file.st_ino) == journal_stream;
}

std::string with_priority(Priority priority, std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    result += fmt::format("<{}>{}\n", static_cast<int>(priority), line);
  }
  return result;
}

}  // namespace swnat::rules
