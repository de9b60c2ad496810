// The kernel's own list of queues in this network namespace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace swnat::nfq {

struct KernelQueue {
  std::uint16_t number = 0;
  std::uint32_t port_id = 0;           // of the netlink socket that owns it, often a process id
  std::uint32_t waiting = 0;           // packets that have no verdict yet
  std::uint64_t dropped_full = 0;      // packets dropped because max_packets were waiting
  std::uint64_t dropped_overflow = 0;  // packets dropped because the socket's buffer was full
};

inline constexpr const char* kernel_queue_file = "/proc/thread-self/net/netfilter/nfnetlink_queue";

// Nothing if the kernel has no NFQUEUE. Lines that cannot be read are left out,
// all of them where the file cannot be opened.
std::optional<std::vector<KernelQueue>> kernel_queues(const std::string& file = kernel_queue_file);

}  // namespace swnat::nfq
