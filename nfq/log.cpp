#include "nfq/log.h"

#include <unistd.h>

#include <optional>
#include <string>

#include "engine/base/lock.h"
#include "nfq/log_stream.h"

namespace swnat::nfq {
namespace {

Mutex mutex;
// Made when the daemon starts; commands that end by themselves wait for who reads their errors.
std::optional<LogStream> stream SWNAT_GUARDED_BY(mutex);

}  // namespace

void log_without_waiting() {
  const Lock lock(mutex);
  stream.emplace(STDERR_FILENO);
}

void write_log(std::string_view line) {
  const std::string text = fmt::format("swnat-nfq: {}\n", line);
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
