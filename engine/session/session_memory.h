// The block of memory that all session records lie in, with a header that tells what they are.
//
// The block may outlive the process that filled it: in a shared mapping of a file, every committed
// record is there for the next one, even if this one is killed at any instruction. It holds no
// pointers. Behind the header lie the shards' records of IPv4, then those of IPv6, and then, in the
// same order, what the records of both have apart: first TcpAside of all, then when each session
// was made. A family without an external address has none.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/base/hash.h"
#include "engine/session/session.h"
#include "engine/wire/family.h"
#include "swnat/limits.h"
#include "swnat/policy.h"

namespace swnat {

// What must agree for records to be of use to another engine.
struct SessionMemoryFormat {
  std::uint64_t magic = 0;
  std::uint32_t version = 0;
  std::uint32_t record_sizes = 0;  // both families'
  std::uint32_t shards = 0;
  std::uint32_t capacity = 0;    // records of each shard and family
  std::uint64_t policy = 0;      // a fingerprint of external addresses, ports and mapping
  std::uint64_t time_epoch = 0;  // which clock the ticks are of

  friend bool operator==(const SessionMemoryFormat&, const SessionMemoryFormat&) = default;
};

struct SessionMemoryHeader {
  SessionMemoryFormat format;
  Secret pairing_key;  // EngineOptions::pairing_key of the engine that wrote the memory first
  // Time, in milliseconds, when the sessions were last used, up to used_step earlier. Ticks alone
  // come round.
  std::int64_t used_at;
  // Of each shard: records beyond were never used. Raised before a record there is first committed.
  std::uint32_t used_v4[shards_max];
  std::uint32_t used_v6[shards_max];
};
inline constexpr std::int64_t used_step = 60'000;
inline constexpr std::size_t session_memory_header_size = 4096;
static_assert(sizeof(SessionMemoryHeader) <= session_memory_header_size);

// Records of a family that each shard has: its part of all sessions, and six times as many more as
// random ports make the shards differ by (the standard deviation), or as small numbers do.
std::uint32_t shard_capacity(std::uint32_t max_sessions, std::uint32_t shards);

SessionMemoryFormat session_memory_format(std::uint32_t shards, std::uint32_t capacity,
                                          const Policy& policy, std::uint64_t time_epoch);

// Whether the block has been written before. Throws SessionMemoryError (engine_options.h) if it
// was, in another format; a block of zeros gets the header of this one, with `pairing_key`. `block`
// has the size that the format asks for.
bool attach_session_memory(std::span<std::byte> block, const SessionMemoryFormat& format,
                           const Secret& pairing_key);

// When the sessions of an attached block were last used. Thread-safe.
class UsedAt {
 public:
  explicit UsedAt(std::span<std::byte> block)
      : at_(reinterpret_cast<SessionMemoryHeader*>(block.data())->used_at) {}

  // Whether that was not so long ago that ticks of then say nothing at `now`, in milliseconds.
  bool is_recent(std::int64_t now) const;
  // Whether it was at `now`, up to used_step earlier, or later, as by another thread's clock.
  bool is_noted(std::int64_t now) const { return since_then(now) < used_step; }
  void note(std::int64_t now) { at_.store(now, std::memory_order_relaxed); }

 private:
  // What lies in the memory may be anything.
  std::int64_t since_then(std::int64_t now) const {
    return static_cast<std::int64_t>(
        static_cast<std::uint64_t>(now) -
        static_cast<std::uint64_t>(at_.load(std::memory_order_relaxed)));
  }

  std::atomic_ref<std::int64_t> at_;
};

// Why what these bytes hold is of no use to an engine that wants the format and so many bytes.
// Nothing if it is, or if nothing was ever committed there.
std::optional<std::string> session_memory_fault(std::span<const std::byte> bytes,
                                                const SessionMemoryFormat& wanted,
                                                std::size_t size);

// Moves the ticks of all records, in a block of this format but for the epoch, which then is this
// one's; `shift` is in milliseconds. Throws SessionMemoryError.
void rebase_session_memory(std::span<std::byte> block, const SessionMemoryFormat& format,
                           const Policy& policy, std::int64_t shift);

// Nothing if the block holds none, or is another version's.
std::optional<Secret> pairing_key_of(std::span<const std::byte> block);

std::size_t session_memory_size(std::uint32_t shards, std::uint32_t capacity, const Policy& policy);

// A shard's part of an attached block.
template <class Family>
struct SessionMemoryPart {
  std::span<Session<Family>> records;
  std::span<TcpAside> asides;  // of each record
  std::span<Tick> made;        // when each session was (age.h)
  std::uint32_t& used;
};
template <class Family>
SessionMemoryPart<Family> session_memory_part(std::span<std::byte> block, std::uint32_t shards,
                                              std::uint32_t capacity, const Policy& policy,
                                              std::uint32_t shard);

}  // namespace swnat
