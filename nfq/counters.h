// What happened at one queue. One list makes the counters, their names and their texts.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace swnat::nfq {

// X(name, text). received = accepted + passed + dropped + what is held; truncated, malformed,
// wrong_hook and overdue are among the dropped ones. What the engine drops is counted by reason
// there.
#define SWNAT_QUEUE_COUNTERS(X)                                                             \
  X(received, "packets that the kernel handed over")                                        \
  X(accepted, "packets given back translated")                                              \
  X(passed, "packets given back as they were, because they are not the NAT's")              \
  X(dropped, "packets dropped, for whatever reason")                                        \
  X(truncated, "packets dropped because they are longer than a queue message can carry")    \
  X(malformed, "packets dropped because their queue message lacks something")               \
  X(wrong_hook,                                                                             \
    "packets dropped because a rule queued them in a hook where nothing is translated")     \
  X(overdue, "fragments dropped because the first of their datagram did not come in time")  \
  X(answers_sent, "ICMP answers to packets that no session could be made for")              \
  X(answers_suppressed,                                                                     \
    "such packets that were not answered, to limit the rate or because nobody should be")   \
  X(unsent, "packets dropped because the kernel did not take the translated bytes")         \
  X(overflows, "times that the socket's buffer was full and the kernel dropped packets")    \
  X(netlink_errors, "messages from the kernel that were errors or could not be understood") \
  X(rebinds, "times that the queue was lost and bound again")

enum class QueueCounter : std::uint8_t {
#define X(name, text) name,
  SWNAT_QUEUE_COUNTERS(X)
#undef X
};

inline constexpr std::size_t queue_counter_count = 0
#define X(name, text) +1
    SWNAT_QUEUE_COUNTERS(X)
#undef X
    ;

struct QueueCounterInfo {
  std::string_view name;
  std::string_view text;  // for people
};

inline constexpr std::array<QueueCounterInfo, queue_counter_count> queue_counter_infos{{
#define X(name, text) {#name, text},
    SWNAT_QUEUE_COUNTERS(X)
#undef X
}};

using QueueCounts = std::array<std::uint64_t, queue_counter_count>;

// Written by one thread, read by any. A cache line of its own, so that workers do not meet.
class alignas(64) QueueCounters {
 public:
  void add(QueueCounter counter, std::uint64_t count = 1) {
    auto& value = values_[static_cast<std::size_t>(counter)];
    value.store(value.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }

  QueueCounts read() const {
    QueueCounts counts{};
    for (std::size_t i = 0; i < counts.size(); ++i) {
      counts[i] = values_[i].load(std::memory_order_relaxed);
    }
    return counts;
  }

 private:
  std::array<std::atomic<std::uint64_t>, queue_counter_count> values_{};
};

}  // namespace swnat::nfq
