#include "engine/session/session_memory.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "engine/base/hash.h"
#include "engine/wire/family.h"
#include "swnat/engine_options.h"

namespace swnat {
namespace {

constexpr std::uint64_t magic = 0x6e6f'6973'7377'6e74;
// Some ticks may be of another clock than others.
constexpr std::uint64_t magic_of_rebasing = ~magic;
constexpr std::uint32_t version = 5;

// Records of one family, of all shards.
template <class Family>
std::size_t record_count(std::uint32_t shards, std::uint32_t capacity, const Policy& policy) {
  return Family::of(policy.external).empty() ? 0 : std::size_t{shards} * capacity;
}

// Of both families.
std::size_t all_records_count(std::uint32_t shards, std::uint32_t capacity, const Policy& policy) {
  return record_count<Ipv4>(shards, capacity, policy) +
         record_count<Ipv6>(shards, capacity, policy);
}

// Where what is not the records' begins.
std::size_t asides_offset(std::uint32_t shards, std::uint32_t capacity, const Policy& policy) {
  return session_memory_header_size +
         record_count<Ipv4>(shards, capacity, policy) * sizeof(Session<Ipv4>) +
         record_count<Ipv6>(shards, capacity, policy) * sizeof(Session<Ipv6>);
}

std::size_t made_offset(std::uint32_t shards, std::uint32_t capacity, const Policy& policy) {
  return asides_offset(shards, capacity, policy) +
         all_records_count(shards, capacity, policy) * sizeof(TcpAside);
}

std::uint64_t fingerprint(const Policy& policy) {
  constexpr std::uint64_t odd = 0x9e37'79b9'7f4a'7c15;
  const auto word_of = [](const PortRange& range) {
    return std::uint64_t{range.first} << 16 | range.last;
  };
  const auto& ranges = policy.ports.ranges();
  std::uint64_t mixed =
      word_of(ranges.front()) | std::uint64_t{static_cast<std::uint8_t>(policy.mapping)} << 32;
  const auto mix = [&](std::uint64_t word) { mixed = fold_multiply(mixed ^ word, odd) + 1; };
  for (std::size_t i = 1; i < ranges.size(); ++i) mix(word_of(ranges[i]));
  for (const Ipv4Address address : policy.external.v4) mix(address.wire);
  for (const Ipv6Address& address : policy.external.v6) {
    for (const std::uint64_t word : address.wire) mix(word);
  }
  return mixed;
}

const char* difference(const SessionMemoryFormat& found, const SessionMemoryFormat& wanted) {
  if (found.magic == magic_of_rebasing) return "was left half-way between two clocks";
  if (found.magic != wanted.magic) return "is no session memory";
  if (found.version != wanted.version || found.record_sizes != wanted.record_sizes) {
    return "was written by another version";
  }
  if (found.time_epoch != wanted.time_epoch) return "was written before the machine was started";
  if (found.shards != wanted.shards) return "was written with another number of workers";
  if (found.capacity != wanted.capacity) return "was written with another max_sessions";
  return "was written with other external addresses, ports or mapping";
}

}  // namespace

std::uint32_t shard_capacity(std::uint32_t max_sessions, std::uint32_t shards) {
  const std::uint32_t part = (max_sessions - 1) / shards + 1;
  const auto more = static_cast<std::uint32_t>(6 * std::sqrt(part)) + 16;
  return std::min(part + more, max_sessions);
}

SessionMemoryFormat session_memory_format(std::uint32_t shards, std::uint32_t capacity,
                                          const Policy& policy, std::uint64_t time_epoch) {
  constexpr std::uint32_t record_sizes = sizeof(Session<Ipv4>) << 16 | sizeof(Session<Ipv6>);
  return {magic, version, record_sizes, shards, capacity, fingerprint(policy), time_epoch};
}

std::size_t session_memory_size(std::uint32_t shards, std::uint32_t capacity,
                                const Policy& policy) {
  return made_offset(shards, capacity, policy) +
         all_records_count(shards, capacity, policy) * sizeof(Tick);
}

template <class Family>
SessionMemoryPart<Family> session_memory_part(std::span<std::byte> block, std::uint32_t shards,
                                              std::uint32_t capacity, const Policy& policy,
                                              std::uint32_t shard) {
  auto& header = *reinterpret_cast<SessionMemoryHeader*>(block.data());
  constexpr bool is_v4 = Family::version == 4;
  const std::size_t before = is_v4 ? 0 : record_count<Ipv4>(shards, capacity, policy);
  auto* records = reinterpret_cast<Session<Family>*>(block.data() + session_memory_header_size +
                                                     before * sizeof(Session<Ipv4>));
  auto* asides =
      reinterpret_cast<TcpAside*>(block.data() + asides_offset(shards, capacity, policy)) + before;
  auto* made =
      reinterpret_cast<Tick*>(block.data() + made_offset(shards, capacity, policy)) + before;
  const std::size_t first = std::size_t{shard} * capacity;
  std::uint32_t& used = is_v4 ? header.used_v4[shard] : header.used_v6[shard];
  used = std::min(used, capacity);
  return {{records + first, capacity}, {asides + first, capacity}, {made + first, capacity}, used};
}
template SessionMemoryPart<Ipv4> session_memory_part(std::span<std::byte>, std::uint32_t,
                                                     std::uint32_t, const Policy&, std::uint32_t);
template SessionMemoryPart<Ipv6> session_memory_part(std::span<std::byte>, std::uint32_t,
                                                     std::uint32_t, const Policy&, std::uint32_t);

bool attach_session_memory(std::span<std::byte> block, const SessionMemoryFormat& format,
                           const Secret& pairing_key) {
  auto& header = *reinterpret_cast<SessionMemoryHeader*>(block.data());
  if (header.format == format) return true;
  std::atomic_ref committed(
      header.format.magic);  // written last: a header without it was never finished
  if (committed.load(std::memory_order_acquire) != 0) {
    throw SessionMemoryError(difference(header.format, format));
  }
  SessionMemoryHeader uncommitted{
      .format = format, .pairing_key = pairing_key, .used_at = 0, .used_v4 = {}, .used_v6 = {}};
  uncommitted.format.magic = 0;
  header = uncommitted;
  committed.store(format.magic, std::memory_order_release);
  return false;
}

bool UsedAt::is_recent(std::int64_t now) const {
  const std::int64_t since = since_then(now);
  return since <= max_timeout.count() + used_step && since >= -max_timeout.count();
}

std::optional<std::string> session_memory_fault(std::span<const std::byte> bytes,
                                                const SessionMemoryFormat& wanted,
                                                std::size_t size) {
  SessionMemoryFormat found;
  const std::size_t known = std::min(bytes.size(), sizeof found);
  if (known != 0) std::memcpy(&found, bytes.data(), known);
  const auto has_something = [](std::span<const std::byte> some) {
    return std::ranges::any_of(some, [](std::byte byte) { return byte != std::byte{0}; });
  };
  if (found.magic == 0) {
    // Of a header that was not committed; but whoever has such a block has written no more.
    const std::size_t own = std::min(bytes.size(), sizeof(SessionMemoryHeader));
    return has_something(bytes.subspan(own)) ? std::optional("is no session memory") : std::nullopt;
  }
  if (found != wanted) return difference(found, wanted);
  if (bytes.size() < size) return "is cut short";
  return {};
}

namespace {

template <class Family>
void move_ticks(std::span<std::byte> block, const SessionMemoryFormat& format, const Policy& policy,
                Tick shift) {
  if (Family::of(policy.external).empty()) return;
  for (std::uint32_t shard = 0; shard < format.shards; ++shard) {
    const auto part =
        session_memory_part<Family>(block, format.shards, format.capacity, policy, shard);
    for (Session<Family>& session : part.records.first(part.used)) session.last_active += shift;
    for (Tick& made : part.made.first(part.used)) made += shift;
  }
}

}  // namespace

void rebase_session_memory(std::span<std::byte> block, const SessionMemoryFormat& format,
                           const Policy& policy, std::int64_t shift) {
  auto& header = *reinterpret_cast<SessionMemoryHeader*>(block.data());
  SessionMemoryFormat wanted = format;
  wanted.time_epoch = header.format.time_epoch;
  if (header.format != wanted) throw SessionMemoryError(difference(header.format, wanted));
  std::atomic_ref state(header.format.magic);
  state.exchange(magic_of_rebasing);  // before the first tick
  move_ticks<Ipv4>(block, format, policy, static_cast<Tick>(shift));
  move_ticks<Ipv6>(block, format, policy, static_cast<Tick>(shift));
  header.used_at = static_cast<std::int64_t>(static_cast<std::uint64_t>(header.used_at) +
                                             static_cast<std::uint64_t>(shift));
  header.format.time_epoch = format.time_epoch;
  state.store(format.magic, std::memory_order_release);
}

std::optional<Secret> pairing_key_of(std::span<const std::byte> block) {
  SessionMemoryHeader header;
  if (block.size() < sizeof header) return {};
  std::memcpy(&header, block.data(), sizeof header);
  if (header.format.magic != magic || header.format.version != version) return {};
  return header.pairing_key;
}

}  // namespace swnat
