// The free external ports of one address and protocol, as far as they are one shard's.
//
// Theory of operation
//
// A port's bits from bit 1 up name its shard (see shard_of_port); bit 0 is parity, which a mapping
// keeps (RFC 4787 REQ-4). So a shard's ports of one parity are every 2·shards-th port, and they are
// a bitmap, one bit a port. A summary word has a bit for every 64 words' worth that is not all
// taken, so the next free port from a random start is found in a few steps, however full the pool
// is, and the last one too. A port is taken once until it is released; releasing one that is free
// is a defect of the caller and asserted.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/policy.h"

namespace swnat {

// `shards` is a power of two. Bit 0 is left out: Linux clients prefer even ports, and RTP and RTCP
// use pairs.
constexpr std::uint32_t shard_of_port(std::uint16_t port, std::uint32_t shards) {
  return std::uint32_t{port} >> 1 & (shards - 1);
}

class PortPool {
 public:
  PortPool(PortRange range, std::uint32_t shard, std::uint32_t shards);

  // A free port of the same parity as `like`, or of the other where none is left; found from the
  // place that `random` says. Nothing when all are taken.
  std::optional<std::uint16_t> take(std::uint16_t like, std::uint64_t random);

  // This very port. False if it is taken or not in the pool.
  bool take_exactly(std::uint16_t port);

  void release(std::uint16_t port);

  std::uint32_t free_count() const { return free_[0].count + free_[1].count; }

 private:
  struct Bitmap {
    std::vector<std::uint64_t> words;    // set: free
    std::vector<std::uint64_t> summary;  // set: the word is not zero
    std::uint32_t count = 0;
  };

  bool owns(std::uint16_t port) const;
  std::uint16_t port_at(std::uint32_t parity, std::uint32_t position) const;
  std::uint32_t position_of(std::uint16_t port) const {
    return std::uint32_t{port} >> position_shift_;
  }

  static void set(Bitmap& bitmap, std::uint32_t position);
  static void clear(Bitmap& bitmap, std::uint32_t position);
  static std::uint32_t next_free(const Bitmap& bitmap, std::uint32_t start);

  PortRange range_;
  std::uint32_t shard_;
  std::uint32_t shards_;
  std::uint32_t position_shift_;
  Bitmap free_[2];  // by parity
};

}  // namespace swnat
