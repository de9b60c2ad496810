// A TCP connection, segment by segment: what each one means for it, and what it leaves.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/session/tcp_state.h"

namespace swnat::test::tcp_steps {

using enum SessionState;
inline constexpr TcpSender internal = TcpSender::internal;
inline constexpr TcpSender remote = TcpSender::remote;
inline constexpr TcpEffect refresh = TcpEffect::refresh;
inline constexpr TcpEffect none = TcpEffect::none;
inline constexpr TcpEffect closed = TcpEffect::closed;

inline constexpr std::uint8_t syn = tcp_flag::syn;
inline constexpr std::uint8_t ack = tcp_flag::ack;
inline constexpr std::uint8_t fin = tcp_flag::fin;
inline constexpr std::uint8_t rst = tcp_flag::rst;
inline constexpr auto syn_ack = static_cast<std::uint8_t>(syn | ack);
inline constexpr auto fin_ack = static_cast<std::uint8_t>(fin | ack);
inline constexpr auto rst_ack = static_cast<std::uint8_t>(rst | ack);

// Initial sequence numbers: the next ones are 1001 and 5001.
inline constexpr std::uint32_t iss = 1000;
inline constexpr std::uint32_t irs = 5000;
inline constexpr std::uint16_t window = 10'000;

struct Step {
  TcpSender sender;
  std::uint8_t flags;
  std::uint32_t sequence;
  std::uint32_t acknowledgment;
  std::uint32_t payload_size;
  TcpEffect effect;
  SessionState after;
};

struct Case {
  const char* name;
  std::vector<Step> steps;  // the first one opens
  std::uint16_t window_of_all = window;
  std::uint8_t internal_scale = 0;
  std::uint8_t remote_scale = 0;
};

struct Connection {
  SessionState state = free;
  TcpReceiver internal_receiver;
  TcpReceiver remote_receiver;
  TcpClaim claim;
  TcpAside aside{};

  TcpConnection view() { return {state, internal_receiver, remote_receiver, claim, aside}; }
};

inline TcpSegment segment_of(const Step& step, const Case& c, std::uint32_t base) {
  const std::uint8_t scale = step.sender == internal ? c.internal_scale : c.remote_scale;
  const bool is_syn = (step.flags & syn) != 0;
  const bool is_ack = (step.flags & ack) != 0;
  return {.sequence = step.sequence + base,
          .acknowledgment = is_ack ? step.acknowledgment + base : 0,
          .payload_size = step.payload_size,
          .window = c.window_of_all,
          .flags = step.flags,
          .scale = is_syn ? scale : no_tcp_scale};
}

inline void run(const Case& c, std::uint32_t base) {
  INFO(std::string(c.name));
  CAPTURE(base);
  Connection connection;
  for (std::size_t i = 0; i < c.steps.size(); ++i) {
    CAPTURE(i);
    const Step& step = c.steps[i];
    const TcpSegment segment = segment_of(step, c, base);
    if (i == 0) {
      open(connection.view(), segment, step.sender);
    } else {
      CHECK_EQ(advance(connection.view(), segment, step.sender), step.effect);
    }
    CHECK_EQ(connection.state, step.after);
  }
}

// Also with sequence numbers that wrap between any two segments.
inline void run_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    run(c, 0);
    for (const std::uint32_t base : {0U - iss, 0U - iss - 1, 0U - irs - 1, 0U - irs - 100}) {
      run(c, base);
    }
  }
}

inline std::vector<Step> opened(std::vector<Step> more) {
  std::vector<Step> steps{
      {internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
      {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established},
      {internal, ack, iss + 1, irs + 1, 0, refresh, tcp_established},
  };
  steps.insert(steps.end(), more.begin(), more.end());
  return steps;
}

}  // namespace swnat::test::tcp_steps
