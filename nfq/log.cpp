#include "nfq/log.h"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "engine/base/lock.h"
#include "nfq/log_stream.h"

namespace swnat::nfq {
namespace {

Mutex mutex;
// Made when the daemon starts; commands that end by themselves wait for who reads their errors.
std::optional<LogStream> stream SWNAT_GUARDED_BY(mutex);

bool is_read_by_journal() {
  static const bool is = rules::is_journal(STDERR_FILENO, std::getenv("JOURNAL_STREAM"));
  return is;
}

}  // namespace

void log_without_waiting() {
  const Lock lock(mutex);
  stream.emplace(STDERR_FILENO, is_read_by_journal());
}

void write_log(Priority priority, std::string_view line) {
  write_log_as_it_is(priority, fmt::format("swnat-nfq: {}", line));
}

void write_log_as_it_is(Priority priority, std::string_view line) {
  const std::string text =
      is_read_by_journal() ? rules::with_priority(priority, line) : fmt::format("{}\n", line);
  const Lock lock(mutex);
  if (stream) {
    stream->write(text);
    return;
  }
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace swnat::nfq
