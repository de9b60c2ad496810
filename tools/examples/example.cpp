#include "example.h"

#include <random>
#include <span>

namespace example {
namespace {

constexpr std::size_t ip_header = 20;
constexpr std::size_t addresses = 12;

void put16(Bytes& bytes, std::size_t at, std::uint32_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

std::uint16_t get16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

void put_address(Bytes& bytes, std::size_t at, swnat::Ipv4Address address) {
  put16(bytes, at, address.host() >> 16);
  put16(bytes, at + 2, address.host());
}

// The Internet checksum (RFC 1071) of the bytes, on top of `sum`.
std::uint16_t checksum(std::span<const std::uint8_t> bytes, std::uint32_t sum = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i)
    sum += std::uint32_t{bytes[i]} << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// An IP header before the transport's bytes, whose checksum belongs at `checksum_at`.
Bytes packet(std::uint8_t protocol, Endpoint from, Endpoint to, Bytes transport,
             std::size_t checksum_at) {
  Bytes bytes(ip_header);
  bytes[0] = 0x45;  // version 4, five words
  put16(bytes, 2, static_cast<std::uint32_t>(ip_header + transport.size()));
  bytes[8] = 64;  // hops
  bytes[9] = protocol;
  put_address(bytes, addresses, from.address);
  put_address(bytes, addresses + 4, to.address);
  put16(bytes, 10, checksum(bytes));
  // All but ICMP also sum a pseudo-header: the addresses, the protocol and the length.
  std::uint32_t sum = 0;
  if (protocol != icmp) {
    sum = static_cast<std::uint32_t>(protocol + transport.size());
    for (std::size_t at = addresses; at < ip_header; at += 2) sum += get16(bytes, at);
  }
  put16(transport, checksum_at, checksum(transport, sum));
  bytes.insert(bytes.end(), transport.begin(), transport.end());
  return bytes;
}

Endpoint endpoint_at(const Bytes& bytes, std::size_t address_at, std::size_t port_at) {
  const std::uint32_t high = get16(bytes, address_at);
  return {swnat::Ipv4Address::from_host(high << 16 | get16(bytes, address_at + 2)),
          get16(bytes, ip_header + port_at)};
}

}  // namespace

Bytes datagram(Endpoint from, Endpoint to, std::string_view payload) {
  Bytes header(8);
  put16(header, 0, from.port);
  put16(header, 2, to.port);
  put16(header, 4, static_cast<std::uint32_t>(header.size() + payload.size()));
  header.insert(header.end(), payload.begin(), payload.end());
  return packet(udp, from, to, std::move(header), 6);
}

Bytes tcp_syn(Endpoint from, Endpoint to) {
  Bytes header(20);
  put16(header, 0, from.port);
  put16(header, 2, to.port);
  header[12] = 0x50;  // five words
  header[13] = 0x02;  // SYN
  put16(header, 14, 64'000);
  return packet(tcp, from, to, std::move(header), 16);
}

Bytes ping(Endpoint from, swnat::Ipv4Address to) {
  Bytes header(8);
  header[0] = 8;  // echo request
  put16(header, 4, from.port);
  return packet(icmp, from, {to, 0}, std::move(header), 2);
}

Endpoint source_of(const Bytes& packet) {
  return endpoint_at(packet, addresses, packet[9] == icmp ? 4 : 0);
}

Endpoint destination_of(const Bytes& packet) {
  return endpoint_at(packet, addresses + 4, packet[9] == icmp ? 4 : 2);
}

std::string text(swnat::Reason reason) {
  std::string begin;
  if (swnat::verdict_of(reason) == swnat::Verdict::drop) begin = "dropped: ";
  if (swnat::verdict_of(reason) == swnat::Verdict::pass) begin = "not the NAT's: ";
  return begin + std::string(swnat::info(reason).text);
}

std::array<std::uint64_t, 4> random_secret() {
  std::random_device device;
  std::array<std::uint64_t, 4> secret;
  for (std::uint64_t& word : secret) word = std::uint64_t{device()} << 32 | device();
  return secret;
}

}  // namespace example
