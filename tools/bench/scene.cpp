#include "tools/bench/scene.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <string>

#include "engine/base/bytes.h"
#include "engine/wire/headers.h"
#include "engine/wire/parse.h"

namespace swnat::bench {
namespace {

constexpr std::uint32_t ports_per_host = 64;
constexpr std::uint32_t external_addresses = 64;
constexpr Secret secret = {0x243f'6a88'85a3'08d3, 0x1319'8a2e'0370'7344, 0xa409'3822'299f'31d0,
                           0x082e'fa98'ec4e'6c89};

template <class Family>
typename Family::Address address_of(std::uint32_t network, std::uint32_t host) {
  if constexpr (Family::version == 4) {
    return Ipv4Address::from_host(network + host);
  } else {
    Ipv6Address address;
    address.wire[0] = __builtin_bswap64(0x2001'0db8'0000'0000 | network);
    address.wire[1] = __builtin_bswap64(0x0200'0000'0000'0000 | host);
    return address;
  }
}

// 198.18.0.0/15 is there for benchmarks (RFC 2544); tenants have 10.0.0.0/8.
constexpr std::uint32_t external_network = 198u << 24 | 18u << 16;
constexpr std::uint32_t internal_network = 10u << 24;
constexpr std::uint32_t remote_network = 64u << 24;

// With external addresses of that family only, so that there are no records of the other one.
template <class Family>
std::shared_ptr<const Policy> policy_of(const SceneOptions& options) {
  auto policy = std::make_shared<Policy>();
  for (std::uint32_t i = 0; i < external_addresses; ++i) {
    const auto address = address_of<Family>(external_network, i);
    if constexpr (Family::version == 4) {
      policy->external.v4.push_back(address);
    } else {
      policy->external.v6.push_back(address);
    }
  }
  policy->ports = {1024, 65535};
  policy->timeouts.udp = policy->timeouts.icmp = scene_timeout;
  policy->timeouts.tcp_established = policy->timeouts.tcp_transitory = scene_timeout;
  policy->namespaces = {
      {.first = 1,
       .last = options.namespaces,
       .session_limit = options.session_limit == 0 ? 1u << 28 : options.session_limit}};
  return policy;
}

}  // namespace

template <class Family>
void write_ip(std::uint8_t* ip, std::uint16_t size, const typename Family::Address& source,
              const typename Family::Address& destination, std::uint8_t protocol) {
  if constexpr (Family::version == 4) {
    ip[0] = 0x45;
    store_be16(ip + 2, size);
    store_be16(ip + 6, ipv4_dont_fragment);
    ip[8] = 64;
    ip[9] = protocol;
    store_be16(ip + Family::header_checksum_offset, 0x1234);
  } else {
    ip[0] = 0x60;
    store_be16(ip + 4, static_cast<std::uint16_t>(size - ipv6_header_size));
    ip[6] = protocol;
    ip[7] = 64;
  }
  store_wire(ip + Family::source_offset, source.wire);
  store_wire(ip + Family::destination_offset, destination.wire);
}

template <class Family>
Scene<Family>::Scene(const SceneOptions& options) : options_(options) {
  // Otherwise the C library, once large blocks were given back, takes others from where it has to
  // clear them, and memory that nobody uses counts as resident.
  mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  if (options_.capacity == 0) options_.capacity = options_.sessions;
  flows_.reserve(options_.sessions);
  for (std::uint32_t i = 0; i < options_.sessions; ++i) flows_.push_back(flow(i));
  engine_ = std::make_unique<Engine>(EngineOptions{.shards = options_.shards,
                                                   .max_sessions = options_.capacity,
                                                   .secret = secret,
                                                   .populate = options_.populate},
                                     policy_of<Family>(options_));
  // What an empty engine has is the same for every number of sessions.
  const std::size_t before = resident_bytes();
  establish(flows_);
  // In a small table that is lost among what the C library keeps and rounds.
  constexpr std::uint32_t measurable = 1'000'000;
  if (options_.sessions >= measurable && !options_.populate) {
    bytes_per_session_ =
        static_cast<double>(resident_bytes() - before) / static_cast<double>(options_.sessions);
  }
}

template <class Family>
Flow<Family> Scene<Family>::flow(std::uint64_t number) const {
  const std::uint64_t endpoint = number / remotes_per_endpoint;
  const auto namespace_number = static_cast<std::uint32_t>(endpoint % options_.namespaces);
  const std::uint64_t port_number = endpoint / options_.namespaces;
  const auto host = static_cast<std::uint32_t>(port_number / ports_per_host);
  const std::uint64_t first_port = 1024 + mix(host + 1) % (65'536 - 1024 - ports_per_host);
  Flow<Family> flow;
  flow.namespace_id = 1 + namespace_number;
  flow.internal = {address_of<Family>(internal_network, 1 + host),
                   static_cast<std::uint16_t>(first_port + port_number % ports_per_host)};
  flow.remote = {address_of<Family>(remote_network, static_cast<std::uint32_t>(mix(number) >> 40)),
                 443};
  return flow;
}

template <class Family>
void Scene<Family>::establish(std::span<Flow<Family>> flows) {
  constexpr std::size_t batch = 32;
  PacketBuffer buffer(batch);
  for (std::size_t first = 0; first < flows.size(); first += batch) {
    const std::span some = flows.subspan(first, std::min(batch, flows.size() - first));
    const std::span packets = buffer.packets().first(some.size());
    for (std::size_t i = 0; i < some.size(); ++i) {
      buffer.write(i, some[i], options_.protocol, Direction::outbound, tcp_flag::syn);
    }
    engine_->translate(packets, Time(now_));
    require_accepted(packets);
    for (std::size_t i = 0; i < some.size(); ++i) {
      some[i].external = source_of<Family>(packets[i]);
      buffer.write(i, some[i], options_.protocol, Direction::inbound,
                   tcp_flag::syn | tcp_flag::ack);
    }
    engine_->translate(packets, Time(now_));
    require_accepted(packets);
  }
}

PacketBuffer::PacketBuffer(std::size_t size) : bytes_(size), packets_(size) {
  for (std::size_t i = 0; i < size; ++i) packets_[i].bytes = bytes_[i].octets;
}

template <class Family>
void PacketBuffer::write(std::size_t place, const Flow<Family>& flow, std::uint8_t protocol,
                         Direction direction, std::uint8_t tcp_flags) {
  const bool is_inbound = direction == Direction::inbound;
  const auto& source = is_inbound ? flow.remote : flow.internal;
  const auto& destination = is_inbound ? flow.external : flow.remote;
  Packet& packet = packets_[place];
  packet.namespace_id = is_inbound ? 0 : flow.namespace_id;
  packet.direction = direction;
  std::uint8_t* ip = bytes_[place].octets.data();
  write_ip<Family>(ip, packet_size, source.address, destination.address, protocol);
  std::uint8_t* transport = ip + (Family::version == 4 ? ipv4_header_min : ipv6_header_size);
  store_be16(transport, source.port);
  store_be16(transport + 2, destination.port);
  if (protocol == protocol::udp) {
    store_be16(transport + 4, static_cast<std::uint16_t>(ip + packet_size - transport));
    store_be16(transport + udp_checksum_offset, 0x5678);
  } else {
    const bool is_syn = (tcp_flags & tcp_flag::syn) != 0;
    const std::uint32_t number = __builtin_bswap32(is_syn ? 1000 : 1001);
    store_wire(transport + 4, number);
    store_wire(transport + 8, (tcp_flags & tcp_flag::ack) != 0 ? __builtin_bswap32(1001) : 0);
    transport[12] = 5 << 4;
    transport[13] = tcp_flags;
    store_be16(transport + 14, 0xffff);
    store_be16(transport + tcp_checksum_offset, 0x5678);
  }
}

template <class Family>
Endpoint<typename Family::Address> source_of(const Packet& packet) {
  Parsed<Family> parsed;
  parse(packet.bytes, Direction::outbound, parsed);
  return {parsed.source, parsed.source_port};
}

void require_accepted(std::span<const Packet> packets) {
  for (const Packet& packet : packets) {
    if (packet.verdict() != Verdict::accept) {
      throw std::runtime_error("a packet was dropped: " + std::string(info(packet.reason).text));
    }
  }
}

void require_sessions(const Engine& engine, std::uint64_t sessions) {
  if (engine.session_count() != sessions) {
    throw std::runtime_error(std::to_string(engine.session_count()) + " sessions instead of " +
                             std::to_string(sessions));
  }
}

std::size_t resident_bytes() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0;
  std::size_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

template class Scene<Ipv4>;
template class Scene<Ipv6>;
template void write_ip<Ipv4>(std::uint8_t*, std::uint16_t, const Ipv4Address&, const Ipv4Address&,
                             std::uint8_t);
template Endpoint<Ipv4Address> source_of<Ipv4>(const Packet&);
template Endpoint<Ipv6Address> source_of<Ipv6>(const Packet&);
template void PacketBuffer::write(std::size_t, const Flow<Ipv4>&, std::uint8_t, Direction,
                                  std::uint8_t);
template void PacketBuffer::write(std::size_t, const Flow<Ipv6>&, std::uint8_t, Direction,
                                  std::uint8_t);

}  // namespace swnat::bench
