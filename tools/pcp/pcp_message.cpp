#include "tools/pcp/pcp_message.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace swnat::pcp {
namespace {

constexpr std::size_t header_size = 24;
constexpr std::size_t map_size = 36;
constexpr std::size_t peer_size = 56;
constexpr std::size_t option_header_size = 4;
constexpr std::uint8_t response_bit = 0x80;

constexpr std::uint8_t option_prefer_failure = 2;
constexpr std::uint8_t first_optional_option = 128;

// The client's address comes before what the opcode has.
constexpr std::size_t client_offset = 8;
constexpr std::size_t nonce_offset = header_size;
constexpr std::size_t protocol_offset = nonce_offset + 12;
constexpr std::size_t internal_port_offset = protocol_offset + 4;
constexpr std::size_t external_port_offset = internal_port_offset + 2;
constexpr std::size_t external_address_offset = external_port_offset + 2;
constexpr std::size_t remote_port_offset = external_address_offset + 16;
constexpr std::size_t remote_address_offset = remote_port_offset + 4;
static_assert(remote_port_offset == header_size + map_size);
static_assert(remote_address_offset + 16 == header_size + peer_size);

std::size_t size_of(Opcode opcode) {
  switch (opcode) {
    case Opcode::announce:
      return header_size;
    case Opcode::map:
      return header_size + map_size;
    case Opcode::peer:
      return header_size + peer_size;
  }
  return header_size;
}

// THIRD_PARTY and FILTER are not supported, so they are refused like any that a server must know
// but does not.
Result read_options(View options, Request& request) {
  while (!options.empty()) {
    if (options.size() < option_header_size) return Result::malformed_option;
    const std::uint8_t code = options[0];
    const std::size_t length = read_16(options, 2);
    const std::size_t whole = option_header_size + (length + 3) / 4 * 4;
    if (whole > options.size()) return Result::malformed_option;
    if (code == option_prefer_failure) {
      const bool is_right = length == 0 && request.opcode == Opcode::map &&
                            !request.prefers_failure && request.lifetime.count() != 0;
      if (!is_right) return Result::malformed_option;
      request.prefers_failure = true;
    } else if (code < first_optional_option) {
      return Result::unsupp_option;
    }
    options = options.subspan(whole);
  }
  return Result::success;
}

void read_opcode(View message, Request& request) {
  if (request.opcode == Opcode::announce) return;
  std::ranges::copy(message.subspan(nonce_offset, request.nonce.size()), request.nonce.begin());
  request.protocol = message[protocol_offset];
  request.internal_port = read_16(message, internal_port_offset);
  request.suggested = {read_address(message, external_address_offset),
                       read_16(message, external_port_offset)};
  if (request.opcode == Opcode::map) return;
  request.remote = {read_address(message, remote_address_offset),
                    read_16(message, remote_port_offset)};
}

Octets begin_response(Opcode opcode, std::chrono::seconds lifetime, std::uint32_t epoch) {
  Octets bytes{pcp_version, static_cast<std::uint8_t>(response_bit | std::uint8_t(opcode)), 0,
               std::uint8_t(Result::success)};
  append_32(bytes, static_cast<std::uint32_t>(lifetime.count()));
  append_32(bytes, epoch);
  bytes.resize(header_size);
  return bytes;
}

void append_mapping(Octets& bytes, const Request& request, const IpEndpoint& external) {
  bytes.insert(bytes.end(), request.nonce.begin(), request.nonce.end());
  bytes.insert(bytes.end(), {request.protocol, 0, 0, 0});
  append_16(bytes, request.internal_port);
  append_16(bytes, external.port);
  append_address(bytes, external.address);
}

}  // namespace

std::chrono::seconds error_lifetime(Result result) {
  using std::chrono::minutes;
  switch (result) {
    case Result::network_failure:
    case Result::no_resources:
    case Result::user_ex_quota:
    case Result::cannot_provide_external:
      return std::chrono::seconds(30);
    default:
      return minutes(30);
  }
}

std::string to_hex(const Nonce& nonce) {
  return fmt::format("{:02x}", fmt::join(nonce, ""));
}

ReadRequest read_request(View message, const IpAddress& source) {
  ReadRequest read;
  Request& request = read.request;
  if (message.size() < 2 || (message[1] & response_bit) != 0) {
    read.is_ignored = true;
    return read;
  }
  const auto refuse = [&](Result result) {
    read.result = result;
    return read;
  };
  if (message[0] != pcp_version) return refuse(Result::unsupp_version);
  if (message.size() < header_size || message.size() > longest_message || message.size() % 4 != 0) {
    return refuse(Result::malformed_request);
  }
  if (message[1] > std::uint8_t(Opcode::peer)) return refuse(Result::unsupp_opcode);
  request.opcode = Opcode{message[1]};
  if (message.size() < size_of(request.opcode)) return refuse(Result::malformed_request);
  request.lifetime = std::chrono::seconds(read_32(message, 4));
  request.client = read_address(message, client_offset);
  if (request.client != source) return refuse(Result::address_mismatch);
  read_opcode(message, request);
  return refuse(read_options(message.subspan(size_of(request.opcode)), request));
}

// A copy of the request, as far as a message may have, with another header.
Octets error_response(View request, Result result, std::chrono::seconds lifetime,
                      std::uint32_t epoch) {
  const View kept = request.first(std::min(request.size(), longest_message));
  Octets bytes(kept.begin(), kept.end());
  bytes.resize(std::max(header_size, (bytes.size() + 3) / 4 * 4));
  Octets header = begin_response(Opcode::announce, lifetime, epoch);
  header[1] = static_cast<std::uint8_t>(response_bit | request[1]);
  header[3] = std::uint8_t(result);
  std::ranges::copy(header, bytes.begin());
  return bytes;
}

Octets map_response(const Request& request, const IpEndpoint& external,
                    std::chrono::seconds lifetime, std::uint32_t epoch) {
  Octets bytes = begin_response(Opcode::map, lifetime, epoch);
  append_mapping(bytes, request, external);
  if (request.prefers_failure) bytes.insert(bytes.end(), {option_prefer_failure, 0, 0, 0});
  return bytes;
}

Octets peer_response(const Request& request, const IpEndpoint& external,
                     std::chrono::seconds lifetime, std::uint32_t epoch) {
  Octets bytes = begin_response(Opcode::peer, lifetime, epoch);
  append_mapping(bytes, request, external);
  append_16(bytes, request.remote.port);
  append_16(bytes, 0);
  append_address(bytes, request.remote.address);
  return bytes;
}

Octets announce_response(std::uint32_t epoch) {
  return begin_response(Opcode::announce, std::chrono::seconds(0), epoch);
}

}  // namespace swnat::pcp
