#include "engine/session/timeouts.h"

namespace swnat {

StateTimeouts timeouts_by_state(const Timeouts& timeouts) {
  StateTimeouts by_state{};
  const auto set = [&](SessionState state, std::chrono::milliseconds timeout) {
    by_state[static_cast<std::size_t>(state)] = static_cast<std::int32_t>(timeout.count());
  };
  const bool frees_closed_at_once = timeouts.tcp_transitory.count() == 0;
  const auto opening = frees_closed_at_once ? Timeouts{}.tcp_transitory : timeouts.tcp_transitory;
  set(SessionState::asked_by_remote, timeouts.udp);
  set(SessionState::asked_by_internal, timeouts.udp);
  set(SessionState::echo_asked, timeouts.icmp);
  set(SessionState::udp, timeouts.udp);
  set(SessionState::icmp, timeouts.icmp);
  set(SessionState::portless, timeouts.udp);
  set(SessionState::tcp_syn_internal, opening);
  set(SessionState::tcp_syn_remote, opening);
  set(SessionState::tcp_established, timeouts.tcp_established);
  set(SessionState::tcp_fin_internal, timeouts.tcp_established);
  set(SessionState::tcp_fin_remote, timeouts.tcp_established);
  set(SessionState::tcp_closing, opening);
  set(SessionState::tcp_reset, opening);
  return by_state;
}

}  // namespace swnat
