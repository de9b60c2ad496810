// What a first try would cost: the same packets as those of established sessions, through the hash
// maps of the standard library.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <vector>

#include "engine/session/session.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/map_nat.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

constexpr std::size_t chunk = 1024;

// The flows of a scene, with external endpoints that are simply counted through: two sessions share
// one, as in the engine.
std::vector<Flow<Ipv4>> flows_of(std::uint32_t sessions) {
  constexpr std::uint32_t addresses = 64;
  const Scene<Ipv4> scene({.capacity = 1});
  std::vector<Flow<Ipv4>> flows;
  flows.reserve(sessions);
  for (std::uint32_t i = 0; i < sessions; ++i) {
    Flow<Ipv4> flow = scene.flow(i);
    const std::uint32_t mapping = i / remotes_per_endpoint;
    flow.external = {Ipv4Address::of(198, 18, 0, static_cast<std::uint8_t>(mapping % addresses)),
                     static_cast<std::uint16_t>(1024 + mapping / addresses)};
    flows.push_back(flow);
  }
  return flows;
}

class MapTraffic {
 public:
  explicit MapTraffic(std::uint32_t sessions)
      : flows_(flows_of(sessions)), random_(sessions), buffer_(chunk) {
    const std::size_t before = resident_bytes();
    for (const Flow<Ipv4>& flow : flows_) nat_.add(flow);
    bytes_per_session_ = static_cast<double>(resident_bytes() - before) / sessions;
  }

  double bytes_per_session() const { return bytes_per_session_; }

  double measure(std::uint32_t count) {
    drawn_.clear();
    for (std::uint32_t i = 0; i < std::max<std::uint32_t>(count, chunk); ++i) {
      drawn_.push_back(random_.one_of(flows_));
    }
    return time_in_chunks(
        count, chunk, [&](std::size_t first) { write(first); },
        [&] {
          for (Packet& packet : buffer_.packets()) nat_.translate(packet, now_);
        },
        [&] { require_accepted(buffer_.packets()); });
  }

 private:
  void write(std::size_t first) {
    ++now_;
    for (std::size_t i = 0; i < chunk; ++i) {
      buffer_.write(i, drawn_[first + i], protocol::udp,
                    i % 2 == 0 ? Direction::outbound : Direction::inbound, 0);
    }
  }

  std::vector<Flow<Ipv4>> flows_;
  SplitMix random_;
  PacketBuffer buffer_;
  MapNat nat_;
  std::int64_t now_ = 0;
  double bytes_per_session_ = 0;
  std::vector<Flow<Ipv4>> drawn_;
};

Rows at_size(const Effort& effort, std::uint32_t sessions) {
  MapTraffic traffic(sessions);
  Floor floor(sessions, sizeof(Session<Ipv4>));
  const Row row{.name = "baseline/map-and-mutex",
                .sessions = sessions,
                .bytes_per_session = traffic.bytes_per_session()};
  return in_rounds(effort, [&] { return floor.measure(effort.packets); },
                   {{row, [&] { return traffic.measure(effort.packets); }}});
}

}  // namespace

Rows baseline(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u, 4'000'000u}) {
    if (effort.is_quick && sessions > 1'000'000) continue;
    std::ranges::move(at_size(effort, sessions), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace swnat::bench
