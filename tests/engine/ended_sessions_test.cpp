// How many sessions ended, and why, also where nobody listens to events.
#include <doctest/doctest.h>

#include <numeric>

#include "tests/support/connection.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// Those of one cause; there must be none of another that the last call did not see.
class EndedSince {
 public:
  explicit EndedSince(const Gateway& gateway) : gateway_(gateway) {}

  std::uint64_t operator()(EndCause cause) {
    const EndCounts all = gateway_.engine.ended_sessions();
    const auto index = static_cast<std::size_t>(cause);
    const std::uint64_t ended = all[index] - seen_[index];
    seen_[index] = all[index];
    CHECK_EQ(std::accumulate(all.begin(), all.end(), std::uint64_t{0}),
             std::accumulate(seen_.begin(), seen_.end(), std::uint64_t{0}));
    return ended;
  }

 private:
  const Gateway& gateway_;
  EndCounts seen_{};
};

}  // namespace

TEST_CASE("ended sessions: each is counted once, by its cause") {
  Policy policy = roomy_policy();
  policy.namespaces[0].session_limit = 2;
  Gateway gateway(policy, options_of(4));
  EndedSince ended(gateway);
  for (std::uint16_t i = 0; i < 3; ++i) {
    gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1000 + i)), server);
    gateway.travel(1s);
  }
  CHECK_EQ(ended(EndCause::evicted), 1);
  gateway.expire_after(5min);
  CHECK_EQ(ended(EndCause::expired), 2);

  gateway.open(protocol::udp, blue, client, server);
  Engine::Cursor cursor;
  while (gateway.engine.end_sessions({}, cursor, gateway.now)) {
  }
  CHECK_EQ(ended(EndCause::flushed), 1);

  gateway.open(protocol::udp, green, client, server);
  policy.drops = {{.protocol = protocol::udp, .ports = {80, 80}}};
  gateway.set_policy(policy);
  CHECK_EQ(ended(EndCause::policy), 1);
}

TEST_CASE("ended sessions: a connection that ended by itself is closed or reset") {
  Gateway gateway;
  EndedSince ended(gateway);
  Connection closed{gateway};
  closed.handshake();
  closed.out(fin | ack, 1001, 5001);
  closed.in(fin | ack, 5001, 1002);
  closed.out(ack, 1002, 5002);
  CHECK_EQ(ended(EndCause::closed), 0);
  gateway.expire_after(4min);
  CHECK_EQ(ended(EndCause::closed), 1);

  Connection reset{gateway};
  reset.handshake();
  reset.in(rst, 5001, 0);
  gateway.expire_after(4min);
  CHECK_EQ(ended(EndCause::reset), 1);
}
