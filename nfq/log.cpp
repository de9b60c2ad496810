#include "nfq/log.h"

#include <unistd.h>

#include <string>

namespace swnat::nfq {

void write_log(std::string_view line) {
  const std::string text = fmt::format("swnat-nfq: {}\n", line);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace swnat::nfq
