// What an engine is made with.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>

#include "swnat/limits.h"
#include "swnat/time.h"

namespace swnat {

using PairingKey = std::array<std::uint64_t, 4>;

struct EngineOptions {
  std::uint32_t shards = 1;  // a power of two, 1 to shards_max
  // 1 to sessions_max, of both families. A shard has records for its part and some more, so that
  // only whose ports are chosen for it uses them up before the others'.
  std::uint32_t max_sessions = 262'144;
  // Random, not all zero, and secret from tenants and remotes: keys the hash tables and the choice
  // of ports (RFC 6056).
  std::array<std::uint64_t, 4> secret{};
  // Which external address an internal one has follows from it (RFC 4787 REQ-2), so that it is the
  // same after a restart. Session memory keeps it, and the one that lies there counts. Zero: drawn
  // from the secret.
  PairingKey pairing_key{};
  // Where the session records lie, so that they may outlive the process:
  // Engine::session_memory_size() bytes, aligned to 64, zero or as an engine left them. Empty: the
  // engine has memory of its own.
  std::span<std::byte> session_memory{};
  // Whether all memory is provided at construction. It is else as sessions need it, which makes
  // some packet wait now and then while the kernel clears pages: half a millisecond for a huge one.
  bool populate = false;
  // Names the clock that Time comes from (such as the boot of the machine): session memory of
  // another one says nothing.
  std::uint64_t time_epoch = 0;
  // What that clock says. Needed with session memory: what lies there is over by it, or not.
  std::optional<Time> now{};
};

// The session memory is of another version or configuration; it is left as it was.
class SessionMemoryError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace swnat
