// An engine full of sessions, and packets of them.
//
// Tenants with the same addresses: sixty-four namespaces, hosts with sixty-four ports each, every
// port with two remotes. So half of the sessions share their mapping with another.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/wire/family.h"
#include "swnat/engine.h"
#include "tools/bench/random.h"

namespace swnat::bench {

// A session as its packets show it.
template <class Family>
struct Flow {
  Endpoint<typename Family::Address> internal;
  Endpoint<typename Family::Address> external;
  Endpoint<typename Family::Address> remote;
  NamespaceId namespace_id;
};

inline constexpr std::uint32_t remotes_per_endpoint = 2;

struct SceneOptions {
  std::uint32_t sessions = 0;
  std::uint32_t capacity = 0;  // 0: as many as there are sessions
  std::uint32_t shards = 1;
  std::uint8_t protocol = protocol::udp;
  std::uint32_t namespaces = 64;
  std::uint32_t session_limit = 0;  // of each namespace; 0: none that is ever reached
  bool populate = false;  // as EngineOptions::populate; nothing can then be told of memory
};

inline constexpr std::size_t packet_size = 64;
// Of all sessions. After max_timeout without a packet an engine ends all at once.
inline constexpr Time scene_timeout = max_timeout - std::chrono::hours(24);

template <class Family>
class Scene {
 public:
  explicit Scene(const SceneOptions& options);

  Engine& engine() { return *engine_; }
  // The sessions that were made at construction, in any order.
  std::span<const Flow<Family>> flows() const { return flows_; }
  // Resident memory that a session added to the empty engine; 0 where there are too few to tell.
  double bytes_per_session() const { return bytes_per_session_; }
  const SceneOptions& options() const { return options_; }

  // The clock of the scene; every call is a millisecond later.
  Time next_tick() { return Time(++now_); }
  void sleep(Time time) { now_ += time.count(); }

  // A session that there may be, with the external endpoint still open.
  Flow<Family> flow(std::uint64_t number) const;
  // Makes these sessions, and writes their external endpoints into them.
  void establish(std::span<Flow<Family>> flows);

 private:
  SceneOptions options_;
  std::unique_ptr<Engine> engine_;
  std::vector<Flow<Family>> flows_;
  std::int64_t now_ = 1;
  double bytes_per_session_ = 0;
};

// A header without options, of a packet that may not be cut; its checksum is as good as any.
template <class Family>
void write_ip(std::uint8_t* ip, std::uint16_t size, const typename Family::Address& source,
              const typename Family::Address& destination, std::uint8_t protocol);

// Packets of 64 bytes with room of their own. Written in place: a builder that allocates would be
// measured, too, by what it does to caches and to resident memory.
class PacketBuffer {
 public:
  explicit PacketBuffer(std::size_t size);

  std::span<Packet> packets() { return packets_; }

  // Writes the packet at this place: of an established session, or for TCP with these flags.
  template <class Family>
  void write(std::size_t place, const Flow<Family>& flow, std::uint8_t protocol,
             Direction direction, std::uint8_t tcp_flags);

 private:
  struct alignas(64) Bytes {
    std::array<std::uint8_t, packet_size> octets;
  };
  std::vector<Bytes> bytes_;
  std::vector<Packet> packets_;
};

// Of a whole packet that has just been sent outside.
template <class Family>
Endpoint<typename Family::Address> source_of(const Packet& packet);

// Ends the program if a packet did not get what it had to: no figure may come from packets that
// were dropped.
void require_accepted(std::span<const Packet> packets);
// Likewise if that many sessions are not what there is: packets may be accepted and yet not have
// made or ended the sessions that the figure is about.
void require_sessions(const Engine& engine, std::uint64_t sessions);

// Bytes of memory that the process has in use.
std::size_t resident_bytes();

extern template class Scene<Ipv4>;
extern template class Scene<Ipv6>;

}  // namespace swnat::bench
