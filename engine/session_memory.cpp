#include "engine/session_memory.h"

#include <atomic>

#include "engine/engine.h"
#include "engine/family.h"
#include "engine/hash.h"

namespace swnat {
namespace {

constexpr std::uint64_t magic = 0x6e6f'6973'7377'6e74;
constexpr std::uint32_t version = 1;

std::uint64_t fingerprint(const Policy& policy) {
  constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15;
  std::uint64_t mixed = std::uint64_t{policy.ports.first} << 16 | policy.ports.last;
  for (const Ipv4Address address : policy.external.v4) {
    mixed = fold_multiply(mixed ^ address.wire, odd) + 1;
  }
  return mixed;
}

const char* difference(const SessionMemoryFormat& found, const SessionMemoryFormat& wanted) {
  if (found.magic != wanted.magic) return "is no session memory";
  if (found.version != wanted.version || found.record_size != wanted.record_size) {
    return "was written by another version";
  }
  if (found.time_epoch != wanted.time_epoch) return "was written before the machine was started";
  if (found.shards != wanted.shards) return "was written with another number of workers";
  if (found.capacity != wanted.capacity) return "was written with another max_sessions";
  return "was written with other external addresses or ports";
}

}  // namespace

SessionMemoryFormat session_memory_format(std::uint32_t shards, std::uint32_t capacity,
                                          const Policy& policy, std::uint64_t time_epoch) {
  return {magic,     version,  static_cast<std::uint32_t>(sizeof(Session<Ipv4>)),
          shards,    capacity, fingerprint(policy),
          time_epoch};
}

std::size_t session_memory_size(std::uint32_t shards, std::uint32_t capacity) {
  return session_memory_header_size + std::size_t{shards} * capacity * sizeof(Session<Ipv4>);
}

bool attach_session_memory(std::span<std::byte> block, const SessionMemoryFormat& format) {
  auto& header = *reinterpret_cast<SessionMemoryHeader*>(block.data());
  if (header.format == format) return true;
  std::atomic_ref committed(
      header.format.magic);  // written last: a header without it was never finished
  if (committed.load(std::memory_order_acquire) != 0) {
    throw SessionMemoryError(difference(header.format, format));
  }
  header = SessionMemoryHeader{};
  header.format = format;
  header.format.magic = 0;
  committed.store(format.magic, std::memory_order_release);
  return false;
}

}  // namespace swnat
