#include "tools/bench/map_nat.h"

#include <functional>

#include "engine/base/bytes.h"
#include "engine/wire/checksum.h"
#include "engine/wire/headers.h"

namespace swnat::bench {
namespace {

using End = Endpoint<Ipv4Address>;

struct Headers {
  End source;
  End destination;
  std::uint8_t* transport;
};

// False if it is not a whole UDP packet.
bool read(std::span<std::uint8_t> bytes, Headers& headers) {
  if (bytes.size() < ipv4_header_min || bytes[0] >> 4 != 4) return false;
  const std::size_t header_size = std::size_t{bytes[0]} % 16 * 4;
  const std::size_t length = load_be16(&bytes[2]);
  if (header_size < ipv4_header_min || length > bytes.size()) return false;
  if (header_size + udp_header_size > length || bytes[9] != protocol::udp) return false;
  if ((load_be16(&bytes[6]) & (ipv4_more_fragments | ipv4_fragment_offset)) != 0) return false;
  std::uint8_t* transport = &bytes[header_size];
  const std::size_t udp_length = load_be16(transport + 4);
  if (udp_length < udp_header_size || udp_length > length - header_size) return false;
  headers.transport = transport;
  headers.source = {{load_wire<std::uint32_t>(&bytes[Ipv4::source_offset])}, load_be16(transport)};
  headers.destination = {{load_wire<std::uint32_t>(&bytes[Ipv4::destination_offset])},
                         load_be16(transport + 2)};
  return true;
}

void write(std::span<std::uint8_t> bytes, std::uint8_t* transport, const End& source,
           const End& destination) {
  const std::size_t addresses_size = 2 * sizeof(Ipv4Address);
  const auto addresses = bytes.subspan(Ipv4::source_offset, addresses_size);
  const std::uint64_t addresses_before = sum_of(addresses);
  const std::uint64_t ports_before = sum_of({transport, 4});
  store_wire(&bytes[Ipv4::source_offset], source.address.wire);
  store_wire(&bytes[Ipv4::destination_offset], destination.address.wire);
  store_be16(transport, source.port);
  store_be16(transport + 2, destination.port);
  const std::uint64_t addresses_after = sum_of(addresses);
  const std::uint64_t ports_after = sum_of({transport, 4});

  const auto update = [](std::uint8_t* field, ChecksumDelta delta) {
    store_wire(field, updated(load_wire<std::uint16_t>(field), delta));
  };
  update(&bytes[Ipv4::header_checksum_offset], delta_of(addresses_before, addresses_after));
  std::uint8_t* udp_checksum = transport + udp_checksum_offset;
  if (load_wire<std::uint16_t>(udp_checksum) == 0) return;  // the sender wanted none
  update(udp_checksum, delta_of(addresses_before + ports_before, addresses_after + ports_after));
}

}  // namespace

std::size_t MapNat::Hash::operator()(const Key& key) const {
  std::size_t seed = 0;
  const auto combine = [&seed](std::uint64_t value) {
    seed ^= std::hash<std::uint64_t>{}(mix(value)) + (seed << 6) + (seed >> 2);
  };
  combine(std::uint64_t{key.local.address.wire} << 32 | key.remote.address.wire);
  combine(std::uint64_t{key.local.port} << 16 | key.remote.port);
  combine(std::uint64_t{key.namespace_id} << 8 | key.protocol);
  return seed;
}

void MapNat::add(const Flow<Ipv4>& flow) {
  const auto record = std::make_shared<Record>(Record{flow, 0});
  const std::lock_guard lock(mutex_);
  inside_.emplace(Key{flow.namespace_id, flow.internal, flow.remote, protocol::udp}, record);
  outside_.emplace(Key{0, flow.external, flow.remote, protocol::udp}, record);
}

void MapNat::translate(Packet& packet, std::int64_t now) {
  Headers headers;
  if (!read(packet.bytes, headers)) {
    packet.reason = Reason::malformed_ip;
    return;
  }
  const std::lock_guard lock(mutex_);
  if (packet.direction == Direction::outbound) {
    const auto found =
        inside_.find(Key{packet.namespace_id, headers.source, headers.destination, protocol::udp});
    if (found == inside_.end()) {
      packet.reason = Reason::no_mapping;
      return;
    }
    Record& record = *found->second;
    record.last_active = now;
    write(packet.bytes, headers.transport, record.flow.external, record.flow.remote);
    packet.reason = Reason::translated_outbound;
    return;
  }
  const auto found = outside_.find(Key{0, headers.destination, headers.source, protocol::udp});
  if (found == outside_.end()) {
    packet.reason = Reason::no_mapping;
    return;
  }
  Record& record = *found->second;
  record.last_active = now;
  write(packet.bytes, headers.transport, record.flow.remote, record.flow.internal);
  packet.namespace_id = record.flow.namespace_id;
  packet.reason = Reason::translated_inbound;
}

}  // namespace swnat::bench
