// Verdicts on their way to the kernel, as few system calls as fit.
//
// Theory of operation
//
// Each verdict is a netlink message of its own, and many messages go in one sendmsg. A message is a
// header made here and, for a translated packet, the packet's bytes where they lie in the receive
// buffer: the kernel gathers them, nothing is copied before. A batch ends by count or by bytes,
// because the kernel allocates one block for all of it.
//
// No packet may be left without a verdict. If the kernel refuses a batch, its verdicts are sent one
// by one; if it refuses a translated packet, that packet is dropped; and if it refuses even this,
// flush() fails, and the caller gives the socket up, which makes the kernel drop all that waits.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "nfq/counters.h"

namespace swnat::nfq {

class VerdictSink {
 public:
  // Sends the pieces as one datagram. Returns 0 or an errno.
  virtual int send(std::span<iovec> pieces) = 0;

 protected:
  ~VerdictSink() = default;
};

class VerdictBatch {
 public:
  static constexpr std::size_t max_verdicts = 64;
  static constexpr std::size_t max_bytes = std::size_t{512} << 10;

  VerdictBatch(std::uint16_t queue, QueueCounters& counters) : queue_(queue), counters_(counters) {}

  // Call while is_full() is false. `bytes` is the whole packet; it must stay in place, with three
  // readable bytes behind it, until flush() returns.
  void accept(std::uint32_t id, std::span<const std::uint8_t> bytes,
              std::optional<std::uint32_t> fwmark);
  // The packet goes on as it is, with the fwmark that it has.
  void pass(std::uint32_t id);
  void drop(std::uint32_t id);

  // Whether another packet of `size` bytes has to wait for a flush().
  bool is_full(std::size_t size) const;

  // Sends what is there. False if packets are left without a verdict.
  bool flush(VerdictSink& sink);

 private:
  struct Verdict {
    alignas(4) std::array<std::uint8_t, 48> header;
    std::uint32_t header_size = 0;
    std::uint32_t id = 0;
    std::span<const std::uint8_t> bytes;  // empty unless translated
    QueueCounter counts_as = QueueCounter::dropped;
  };

  bool flush_each(VerdictSink& sink);
  std::size_t gather(const Verdict& verdict, std::span<iovec> pieces) const;
  void write_bare(Verdict& verdict, std::uint32_t id, QueueCounter counts_as) const;

  std::uint16_t queue_;
  QueueCounters& counters_;
  std::array<Verdict, max_verdicts> verdicts_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace swnat::nfq
