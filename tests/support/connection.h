// A TCP connection between `client` in the namespace blue and `server`, segment by segment.
#pragma once

#include <string>

#include "tests/support/gateway.h"

namespace swnat::test {

inline constexpr std::uint8_t fin = 0x01;
inline constexpr std::uint8_t syn = 0x02;
inline constexpr std::uint8_t rst = 0x04;
inline constexpr std::uint8_t push = 0x08;
inline constexpr std::uint8_t ack = 0x10;

struct Connection {
  Gateway& gateway;
  Peer external{};

  Reason out(std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    const TcpFields fields{.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment};
    const Outcome sent = gateway.out(blue, tcp(client, server, fields));
    if (sent.accepted()) external = sent.source();
    return sent.reason;
  }
  Reason in(std::uint8_t flags, std::uint32_t sequence, std::uint32_t acknowledgment) {
    const TcpFields fields{.flags = flags, .sequence = sequence, .acknowledgment = acknowledgment};
    return gateway.in(tcp(server, external, fields)).reason;
  }
  void handshake() {
    REQUIRE_EQ(out(syn, 1000, 0), Reason::translated_outbound);
    REQUIRE_EQ(in(syn | ack, 5000, 1001), Reason::translated_inbound);
    REQUIRE_EQ(out(ack, 1001, 5001), Reason::translated_outbound);
  }
  std::string state() {
    const auto sessions = gateway.sessions();
    return sessions.empty() ? "none" : std::string(sessions[0].state);
  }
};

}  // namespace swnat::test
