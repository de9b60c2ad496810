#include "tools/pcp/natpmp_message.h"

namespace swnat::pcp {
namespace {

constexpr std::uint8_t natpmp_response_bit = 0x80;
constexpr std::size_t map_request_size = 12;

bool is_map(std::uint8_t opcode) {
  return opcode == natpmp_opcode::map_udp || opcode == natpmp_opcode::map_tcp;
}

}  // namespace

std::optional<NatPmpRequest> read_natpmp_request(View message) {
  if (message.size() < 2 || (message[1] & natpmp_response_bit) != 0) return {};
  NatPmpRequest request{.opcode = message[1]};
  if (!is_map(request.opcode)) return request;
  if (message.size() < map_request_size) return {};
  request.internal_port = read_16(message, 4);
  request.external_port = read_16(message, 6);
  request.lifetime = std::chrono::seconds(read_32(message, 8));
  return request;
}

Octets natpmp_error_response(std::uint8_t opcode, NatPmpResult result, std::uint32_t epoch) {
  Octets bytes{natpmp_version, static_cast<std::uint8_t>(natpmp_response_bit | opcode)};
  append_16(bytes, static_cast<std::uint16_t>(result));
  append_32(bytes, epoch);
  return bytes;
}

Octets natpmp_address_response(NatPmpResult result, Ipv4Address external, std::uint32_t epoch) {
  Octets bytes = natpmp_error_response(natpmp_opcode::address, result, epoch);
  append_32(bytes, external.host());
  return bytes;
}

Octets natpmp_map_response(const NatPmpRequest& request, NatPmpResult result,
                           std::uint16_t external_port, std::chrono::seconds lifetime,
                           std::uint32_t epoch) {
  Octets bytes = natpmp_error_response(request.opcode, result, epoch);
  append_16(bytes, request.internal_port);
  append_16(bytes, external_port);
  append_32(bytes, static_cast<std::uint32_t>(lifetime.count()));
  return bytes;
}

}  // namespace swnat::pcp
