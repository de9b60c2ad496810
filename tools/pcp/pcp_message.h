// The messages of PCP (RFC 6887): requests read, responses written.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "swnat/address.h"
#include "tools/pcp/octets.h"

namespace swnat::pcp {

inline constexpr std::uint8_t pcp_version = 2;
inline constexpr std::size_t longest_message = 1100;  // RFC 6887 section 7

enum class Opcode : std::uint8_t { announce = 0, map = 1, peer = 2 };

// RFC 6887 section 7.4.
enum class Result : std::uint8_t {
  success = 0,
  unsupp_version = 1,
  not_authorized = 2,
  malformed_request = 3,
  unsupp_opcode = 4,
  unsupp_option = 5,
  malformed_option = 6,
  network_failure = 7,
  no_resources = 8,
  unsupp_protocol = 9,
  user_ex_quota = 10,
  cannot_provide_external = 11,
  address_mismatch = 12,
};

// How long a client is asked not to repeat what was refused for this reason.
std::chrono::seconds error_lifetime(Result result);

using Nonce = std::array<std::uint8_t, 12>;
std::string to_hex(const Nonce& nonce);

// What does not belong to the opcode is 0.
struct Request {
  Opcode opcode = Opcode::announce;
  std::chrono::seconds lifetime{0};
  IpAddress client;
  Nonce nonce{};
  std::uint8_t protocol = 0;
  std::uint16_t internal_port = 0;
  IpEndpoint suggested;  // of the outside; the address may be unspecified, the port 0
  IpEndpoint remote;     // of PEER
  bool prefers_failure = false;
};

struct ReadRequest {
  // A message that no server answers: too short, or a response itself.
  bool is_ignored = false;
  Result result = Result::success;  // why it is refused
  Request request;                  // if it is not
};
// `source` is the address that the message came from.
ReadRequest read_request(View message, const IpAddress& source);

// `epoch`: seconds, as RFC 6887 section 8.5 has them.
Octets error_response(View request, Result result, std::chrono::seconds lifetime,
                      std::uint32_t epoch);
Octets map_response(const Request& request, const IpEndpoint& external,
                    std::chrono::seconds lifetime, std::uint32_t epoch);
Octets peer_response(const Request& request, const IpEndpoint& external,
                     std::chrono::seconds lifetime, std::uint32_t epoch);
// Also what is sent to all when state was lost.
Octets announce_response(std::uint32_t epoch);

}  // namespace swnat::pcp
