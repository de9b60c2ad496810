#include "nfq/queue_table.h"

#include <cerrno>
#include <fstream>
#include <sstream>

namespace swnat::nfq {

std::optional<std::vector<KernelQueue>> kernel_queues(const std::string& file) {
  errno = 0;
  std::ifstream lines(file);
  if (!lines && errno == ENOENT) return std::nullopt;
  std::vector<KernelQueue> queues;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream columns(line);
    KernelQueue queue;
    unsigned copy_mode = 0;
    unsigned copy_range = 0;
    if (columns >> queue.number >> queue.port_id >> queue.waiting >> copy_mode >> copy_range >>
        queue.dropped_full >> queue.dropped_overflow) {
      queues.push_back(queue);
    }
  }
  return queues;
}

}  // namespace swnat::nfq
