#include "nfq/icmp_answers.h"

#include <doctest/doctest.h>

#include "tests/support/answers.h"
#include "tests/support/packets6.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

constexpr Peer tenant{Host::of(10, 0, 0, 2), 1234};
constexpr Peer remote{Host::of(192, 0, 2, 1), 80};

struct Teller {
  QueueCounters counters;
  Answers sink;
  IcmpAnswers answers{sink, counters};

  void consider(Bytes bytes, Reason reason, NamespaceId id = 2,
                Direction direction = Direction::outbound, Time now = Time(1000)) {
    answers.consider({.bytes = bytes, .namespace_id = id, .direction = direction, .reason = reason},
                     0x700 | id, now);
  }
  std::uint64_t count(QueueCounter counter) const {
    return counters.read()[static_cast<std::size_t>(counter)];
  }
};

}  // namespace

TEST_CASE("icmp answers: the sender is told with its own fwmark, from no address yet") {
  Teller teller;
  const Bytes packet = udp(tenant, remote, payload_of(20));
  teller.consider(packet, Reason::session_limit);
  teller.consider(packet, Reason::no_free_port, 1, Direction::hairpin);
  REQUIRE_EQ(teller.sink.sent.size(), 2u);
  CHECK_EQ(teller.sink.sent[0].fwmark, 0x702u);
  CHECK_EQ(teller.sink.sent[1].fwmark, 0x701u);
  const Bytes& answer = teller.sink.sent[0].bytes;
  CHECK_EQ(source_of(answer).address.wire, 0u);
  CHECK_EQ(destination_of(answer).address.wire, tenant.address.wire);
  CHECK_EQ(word_at(answer, 20), 3 << 8 | 13);
  CHECK(quoted_in(answer) == packet);
  CHECK_EQ(teller.count(QueueCounter::answers_sent), 2u);
  CHECK_EQ(teller.count(QueueCounter::answers_suppressed), 0u);
}

TEST_CASE("icmp answers: nothing for other reasons, nor to the outside") {
  Teller teller;
  const Bytes packet = udp(tenant, remote);
  teller.consider(packet, Reason::dropped_by_rule);
  teller.consider(packet, Reason::unknown_namespace);
  teller.consider(packet, Reason::session_limit, 0, Direction::inbound);
  CHECK(teller.sink.sent.empty());
  CHECK_EQ(teller.count(QueueCounter::answers_suppressed), 0u);
}

TEST_CASE("icmp answers: what is not sent is counted, whatever the cause") {
  Teller teller;
  const Bytes packet = udp(tenant, remote);
  teller.consider(udp(tenant, {Host::of(224, 0, 0, 1), 80}), Reason::session_limit);
  CHECK_EQ(teller.count(QueueCounter::answers_suppressed), 1u);
  teller.sink.is_full = true;
  teller.consider(packet, Reason::session_limit);
  CHECK_EQ(teller.count(QueueCounter::answers_suppressed), 2u);
  teller.sink.is_full = false;
  for (int i = 0; i < 100; ++i) teller.consider(packet, Reason::session_limit, 3);
  CHECK_EQ(teller.count(QueueCounter::answers_sent), IcmpAnswers::per_second.each);
  CHECK_EQ(teller.count(QueueCounter::answers_suppressed), 102u - IcmpAnswers::per_second.each);
  teller.consider(packet, Reason::session_limit, 4);  // one that floods takes nothing from others
  CHECK_EQ(teller.count(QueueCounter::answers_sent), IcmpAnswers::per_second.each + 1u);
  teller.consider(packet, Reason::session_limit, 3, Direction::outbound, Time(2000));
  CHECK_EQ(teller.count(QueueCounter::answers_sent), IcmpAnswers::per_second.each + 2u);
}

TEST_CASE("icmp answers: of IPv6 too") {
  Teller teller;
  const Peer6 tenant6{host6({0xfd00, 0, 0, 0, 0, 0, 0, 2}), 1234};
  const Peer6 remote6{host6({0x2000, 0, 0, 0, 0, 0, 0, 0}), 80};
  const Bytes packet = udp(tenant6, remote6);
  teller.consider(packet, Reason::table_full);
  REQUIRE_EQ(teller.sink.sent.size(), 1u);
  const Bytes& answer = teller.sink.sent[0].bytes;
  CHECK_EQ(int{answer[0]}, 0x60);
  CHECK_EQ(word_at(answer, 40), 1 << 8 | 1);
  CHECK(Bytes(answer.begin() + 8, answer.begin() + 24) == Bytes(16));
  CHECK(quoted_in(answer) == packet);
}
