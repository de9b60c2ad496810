// ICMP errors from outside about packets of established sessions.
#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/session/session.h"
#include "engine/wire/checksum.h"
#include "engine/wire/headers.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

constexpr std::size_t chunk = 1024;
constexpr std::size_t error_size = ipv4_header_min + icmp_header_size + packet_size;
constexpr std::uint8_t fragmentation_needed = 4;  // a code of unreachable

void write_sum(std::span<std::uint8_t> summed, std::size_t field) {
  store_wire<std::uint16_t>(&summed[field], 0);
  store_wire(&summed[field], static_cast<std::uint16_t>(~fold(sum_of(summed))));
}

// "Fragmentation needed" from the remote, about a packet that the session sent; all of its sums are
// right.
class ErrorBuffer {
 public:
  ErrorBuffer() : bytes_(chunk), packets_(chunk), quoted_(1) {
    for (std::size_t i = 0; i < chunk; ++i)
      packets_[i].bytes = std::span(bytes_[i]).first(error_size);
  }

  std::span<Packet> packets() { return packets_; }

  void write(std::size_t place, const Flow<Ipv4>& flow) {
    // As it left: from the external endpoint.
    Flow<Ipv4> sent = flow;
    sent.internal = flow.external;
    quoted_.write(0, sent, protocol::udp, Direction::outbound, 0);
    Packet& packet = packets_[place];
    packet.direction = Direction::inbound;
    packet.namespace_id = 0;

    std::uint8_t* ip = packet.bytes.data();
    write_ip<Ipv4>(ip, error_size, flow.remote.address, flow.external.address, protocol::icmp);
    store_be16(ip + 6, 0);  // routers let their errors be cut
    write_sum(packet.bytes.first(ipv4_header_min), Ipv4::header_checksum_offset);

    const auto icmp = packet.bytes.subspan(ipv4_header_min);
    const auto quotation = icmp.subspan(icmp_header_size);
    std::ranges::copy(quoted_.packets()[0].bytes, quotation.begin());
    write_sum(quotation.first(ipv4_header_min), Ipv4::header_checksum_offset);
    icmp[0] = icmp_type::unreachable;
    icmp[1] = fragmentation_needed;
    store_be16(&icmp[6], 1400);
    write_sum(icmp, icmp_checksum_offset);
  }

 private:
  std::vector<std::array<std::uint8_t, 128>> bytes_;
  std::vector<Packet> packets_;
  PacketBuffer quoted_;
};

class ErrorTraffic {
 public:
  explicit ErrorTraffic(Scene<Ipv4>& scene) : scene_(scene), random_(scene.options().sessions) {}

  double measure(std::uint32_t count) {
    drawn_.clear();
    for (std::uint32_t i = 0; i < std::max<std::uint32_t>(count, chunk); ++i) {
      drawn_.push_back(random_.one_of(scene_.flows()));
    }
    Time now{};
    return time_in_chunks(
        count, chunk,
        [&](std::size_t first) {
          now = scene_.next_tick();
          for (std::size_t i = 0; i < chunk; ++i) buffer_.write(i, drawn_[first + i]);
        },
        [&] { translate_in_batches(scene_.engine(), buffer_.packets(), now); },
        [&] { require_accepted(buffer_.packets()); });
  }

 private:
  Scene<Ipv4>& scene_;
  SplitMix random_;
  ErrorBuffer buffer_;
  std::vector<Flow<Ipv4>> drawn_;
};

Rows at_size(const Effort& effort, std::uint32_t sessions) {
  Scene<Ipv4> scene({.sessions = sessions});
  ErrorTraffic traffic(scene);
  Floor floor(sessions, sizeof(Session<Ipv4>));
  const Row row{.name = "icmp-error/inbound",
                .sessions = sessions,
                .bytes_per_session = scene.bytes_per_session()};
  return in_rounds(effort, [&] { return floor.measure(effort.packets); },
                   {{row, [&] { return traffic.measure(effort.packets); }}});
}

}  // namespace

Rows errors(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u}) {
    std::ranges::move(at_size(effort, sessions), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace swnat::bench
