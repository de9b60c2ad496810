// The messages of NAT-PMP (RFC 6886): requests read, responses written. It knows IPv4 only.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "swnat/address.h"
#include "tools/pcp/octets.h"

namespace swnat::pcp {

inline constexpr std::uint8_t natpmp_version = 0;

namespace natpmp_opcode {
inline constexpr std::uint8_t address = 0;
inline constexpr std::uint8_t map_udp = 1;
inline constexpr std::uint8_t map_tcp = 2;
}  // namespace natpmp_opcode

// RFC 6886 section 3.5.
enum class NatPmpResult : std::uint16_t {
  success = 0,
  unsupported_version = 1,
  not_authorized = 2,
  network_failure = 3,
  out_of_resources = 4,
  unsupported_opcode = 5,
};

struct NatPmpRequest {
  std::uint8_t opcode = 0;
  std::uint16_t internal_port = 0;  // of the requests to map, as are the others
  std::uint16_t external_port = 0;  // wanted; 0 for any
  std::chrono::seconds lifetime{0};
};

// Nothing for what is not answered: too short, or a response itself. An opcode that is unknown is
// read, too.
std::optional<NatPmpRequest> read_natpmp_request(View message);

// `epoch`: seconds (RFC 6886 section 3.6).
Octets natpmp_address_response(NatPmpResult result, Ipv4Address external, std::uint32_t epoch);
Octets natpmp_map_response(const NatPmpRequest& request, NatPmpResult result,
                           std::uint16_t external_port, std::chrono::seconds lifetime,
                           std::uint32_t epoch);
// To what is neither.
Octets natpmp_error_response(std::uint8_t opcode, NatPmpResult result, std::uint32_t epoch);

}  // namespace swnat::pcp
