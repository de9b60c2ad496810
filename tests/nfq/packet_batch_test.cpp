#include "nfq/packet_batch.h"

#include <doctest/doctest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "tests/support/answers.h"
#include "tests/support/dice.h"
#include "tests/support/fragments.h"
#include "tests/support/nfq_messages.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

constexpr Host external = Host::of(203, 0, 113, 1);
constexpr Peer tenant{Host::of(10, 0, 0, 2), 1234};
constexpr Peer remote{Host::of(192, 0, 2, 1), 80};
constexpr std::uint32_t mask = 0xff;

std::shared_ptr<const Policy> some_namespaces() {
  Policy policy;
  policy.external.v4 = {external};
  policy.namespaces = {{.first = 1, .last = 1, .external = {}},
                       {.first = 2, .last = 2, .external = {}},
                       {.first = 3, .last = 3, .session_limit = 1, .external = {}}};
  policy.at_limit = AtLimit::refuse;
  return std::make_shared<const Policy>(policy);
}

// The queue parts with an engine behind and the kernel's end in front.
class Gateway {
 public:
  // The datagram has room behind it as in a receive buffer.
  bool give_datagram(Bytes datagram) {
    const std::size_t size = datagram.size();
    datagram.resize(size + 4);
    batch_.take(std::span(datagram).first(size), kernel, now_);
    return batch_.finish(kernel, now_);
  }
  bool give(const QueueMessage& message) { return give_datagram(packet_message(message)); }

  // Longer than anything is held.
  void wait() {
    now_ += HeldFragments::longest + Time(1);
    CHECK(batch_.drop_overdue(kernel, now_));
  }
  void stop() { batch_.drop_held(kernel); }

  std::uint64_t count(QueueCounter counter) const {
    return counters_.read()[static_cast<std::size_t>(counter)];
  }
  std::uint64_t count(Reason reason) const {
    return engine_.counters()[static_cast<std::size_t>(reason)];
  }

  Kernel kernel;
  Answers answers;

 private:
  QueueCounters counters_;
  Engine engine_{{.shards = 2, .max_sessions = 4096, .secret = {1, 2, 3, 4}}, some_namespaces()};
  PacketBatch batch_{engine_, counters_, 3, mask, answers};
  Time now_{1000};
};

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace

TEST_CASE(
    "a packet goes out translated with its fwmark as it was, and its answer gets the tenant's") {
  Gateway gateway;
  gateway.give({.id = 1, .hook = NF_INET_FORWARD, .fwmark = 0x702, .packet = udp(tenant, remote)});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 1u);
  const SentVerdict out = gateway.kernel.verdicts[0];
  CHECK_EQ(out.verdict, accept_verdict);
  CHECK_FALSE(out.fwmark.has_value());
  REQUIRE(out.packet.has_value());
  CHECK_EQ(source_of(*out.packet).address, external);
  CHECK(transport_checksum_is_right(*out.packet));

  const Bytes answer = udp(remote, source_of(*out.packet));
  gateway.give({.id = 2, .hook = NF_INET_PRE_ROUTING, .fwmark = 0x500, .packet = answer});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 2u);
  const SentVerdict in = gateway.kernel.verdicts[1];
  CHECK_EQ(in.verdict, accept_verdict);
  CHECK_EQ(in.fwmark, std::optional(0x502u));
  CHECK_EQ(destination_of(*in.packet), tenant);
}

TEST_CASE("a hairpin gets the receiver's fwmark, which is only sent if it differs") {
  Gateway gateway;
  gateway.give({.id = 1, .hook = NF_INET_FORWARD, .fwmark = 1, .packet = udp(tenant, remote)});
  const Peer mapped = source_of(*gateway.kernel.verdicts[0].packet);
  // Address-dependent filtering: the receiver must have sent to the external address before.
  gateway.give({.id = 2,
                .hook = NF_INET_PRE_ROUTING,
                .fwmark = 1,
                .packet = udp(tenant, {external, mapped.port})});
  const Peer neighbour{Host::of(10, 0, 0, 3), 555};
  for (const std::uint32_t sender : {1u, 2u}) {
    gateway.kernel.verdicts.clear();
    gateway.give(
        {.id = 3, .hook = NF_INET_PRE_ROUTING, .fwmark = sender, .packet = udp(neighbour, mapped)});
    REQUIRE_EQ(gateway.kernel.verdicts.size(), 1u);
    CHECK_EQ(gateway.kernel.verdicts[0].verdict, accept_verdict);
    CHECK_EQ(gateway.kernel.verdicts[0].fwmark, sender == 1 ? std::nullopt : std::optional(1u));
  }
}

TEST_CASE("packets that cannot be translated are dropped, each counted") {
  Gateway gateway;
  const Bytes packet = udp(tenant, remote);
  gateway.give({.id = 1, .fwmark = 1, .cap_len = 70'000, .packet = packet});
  CHECK_EQ(gateway.count(QueueCounter::truncated), 1u);
  gateway.give({.id = 2, .hook = NF_INET_LOCAL_IN, .fwmark = 1, .packet = packet});
  CHECK_EQ(gateway.count(QueueCounter::wrong_hook), 1u);
  gateway.give({.id = 3, .fwmark = 1, .packet = {}});
  CHECK_EQ(gateway.count(QueueCounter::malformed), 1u);
  gateway.give({.id = 4, .fwmark = 9, .packet = packet});
  CHECK_EQ(gateway.count(Reason::unknown_namespace), 1u);
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    CHECK_EQ(gateway.kernel.verdicts[i],
             SentVerdict{.queue = 3, .verdict = drop_verdict, .id = i + 1});
  }
  CHECK_EQ(gateway.count(QueueCounter::received), 4u);
  CHECK_EQ(gateway.count(QueueCounter::dropped), 4u);
}

TEST_CASE("what is not the NAT's goes on as it was, from outside, from a tenant and from here") {
  Gateway gateway;
  const Bytes packet = udp(remote, {external, 40000});
  gateway.give({.id = 1, .hook = NF_INET_PRE_ROUTING, .fwmark = 0x500, .packet = packet});
  gateway.give({.id = 2, .hook = NF_INET_PRE_ROUTING, .fwmark = 0x501, .packet = packet});
  gateway.give({.id = 3, .hook = NF_INET_LOCAL_OUT, .packet = packet});
  gateway.give({.id = 4, .hook = NF_INET_LOCAL_OUT, .fwmark = 9, .packet = packet});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    CHECK_EQ(gateway.kernel.verdicts[i],
             SentVerdict{.queue = 3, .verdict = accept_verdict, .id = i + 1});
  }
  CHECK_EQ(gateway.count(QueueCounter::passed), 4u);
  CHECK_EQ(gateway.count(Reason::no_mapping), 3u);
  CHECK_EQ(gateway.count(Reason::foreign_fwmark), 1u);
  CHECK(gateway.answers.sent.empty());
}

TEST_CASE("a length that is as captured is no cut") {
  Gateway gateway;
  const Bytes packet = udp(tenant, remote);
  gateway.give({.id = 1,
                .fwmark = 1,
                .cap_len = static_cast<std::uint32_t>(packet.size()),
                .packet = packet});
  CHECK_EQ(gateway.count(QueueCounter::truncated), 0u);
  CHECK_EQ(gateway.count(QueueCounter::accepted), 1u);
}

TEST_CASE("any number of messages in a datagram, errors among them, are all answered in order") {
  Gateway gateway;
  Bytes datagram = error_message(-ENOENT) + error_message(0);
  constexpr std::uint32_t packets = 3 * PacketBatch::capacity + 5;
  for (std::uint32_t id = 0; id < packets; ++id) {
    const Peer from{tenant.address, static_cast<std::uint16_t>(2000 + id)};
    datagram = datagram + packet_message({.id = id, .fwmark = 1, .packet = udp(from, remote)});
    if (id % 50 == 0) datagram = datagram + error_message(-ENOBUFS);
  }
  CHECK(gateway.give_datagram(datagram));
  REQUIRE_EQ(gateway.kernel.verdicts.size(), packets);
  for (std::uint32_t id = 0; id < packets; ++id) {
    CHECK_EQ(gateway.kernel.verdicts[id].id, id);
    CHECK_EQ(gateway.kernel.verdicts[id].verdict, accept_verdict);
  }
  CHECK_EQ(gateway.count(QueueCounter::netlink_errors), 5u);
}

TEST_CASE("a refused verdict is reported once") {
  Gateway gateway;
  gateway.kernel.refuses = [](std::size_t, std::size_t) { return EBADF; };
  CHECK_FALSE(gateway.give({.id = 1, .fwmark = 1, .packet = udp(tenant, remote)}));
  gateway.kernel.refuses = nullptr;
  CHECK(gateway.give({.id = 2, .fwmark = 1, .packet = udp(tenant, remote)}));
}

namespace {

// A datagram of 64 bytes of payload in pieces of 24: its UDP header is in the first.
Bytes piece(std::size_t number, Peer from = tenant, Peer to = remote) {
  return fragments_of(udp(from, to, payload_of(64)), 24).at(number);
}

}  // namespace

TEST_CASE("fragments that come before the first are held, and follow it in the order they came") {
  Gateway gateway;
  gateway.give({.id = 1, .fwmark = 1, .packet = piece(2)});
  gateway.give({.id = 2, .fwmark = 2, .packet = piece(1)});  // of another tenant
  gateway.give({.id = 3, .fwmark = 1, .packet = piece(1)});
  CHECK(gateway.kernel.verdicts.empty());
  gateway.give({.id = 4, .fwmark = 1, .packet = piece(0)});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 3u);
  constexpr std::uint32_t order[] = {4, 1, 3};
  for (std::size_t i = 0; i < 3; ++i) {
    const SentVerdict& verdict = gateway.kernel.verdicts[i];
    CHECK_EQ(verdict.id, order[i]);
    CHECK_EQ(verdict.verdict, accept_verdict);
    REQUIRE(verdict.packet.has_value());
    CHECK_EQ(source_of(*verdict.packet).address, external);
    CHECK(header_checksum_is_right(*verdict.packet));
    // The identification is the NAT's own, and the same for all.
    CHECK_EQ(word_at(*verdict.packet, 4), word_at(*gateway.kernel.verdicts[0].packet, 4));
  }
  gateway.wait();
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 4u);
  CHECK_EQ(gateway.kernel.verdicts[3].id, 2u);
  CHECK_EQ(gateway.kernel.verdicts[3].verdict, drop_verdict);
  CHECK_EQ(gateway.count(QueueCounter::overdue), 1u);
}

TEST_CASE("a dropped first fragment takes with it those that wait, and so does the end") {
  Gateway gateway;
  Bytes first = piece(0);
  set_word(first, 22, 0);  // the destination port
  gateway.give({.id = 1, .fwmark = 1, .packet = piece(1)});
  gateway.give({.id = 2, .fwmark = 1, .packet = first});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 2u);
  CHECK_EQ(gateway.count(Reason::invalid_port), 2u);
  gateway.give({.id = 3, .fwmark = 2, .packet = piece(1)});
  CHECK_EQ(gateway.kernel.verdicts.size(), 2u);
  gateway.stop();
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 3u);
  for (const SentVerdict& verdict : gateway.kernel.verdicts) {
    CHECK_EQ(verdict.verdict, drop_verdict);
  }
}

TEST_CASE("a first fragment that is not the NAT's takes with it those that wait") {
  Gateway gateway;
  const auto to_external = [](std::size_t number) { return piece(number, remote, {external, 80}); };
  gateway.give({.id = 1, .hook = NF_INET_PRE_ROUTING, .packet = to_external(1)});
  CHECK(gateway.kernel.verdicts.empty());
  gateway.give({.id = 2, .hook = NF_INET_PRE_ROUTING, .packet = to_external(0)});
  gateway.give({.id = 3, .hook = NF_INET_PRE_ROUTING, .packet = to_external(2)});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 3u);
  for (const std::uint32_t id : {2u, 1u, 3u}) {
    CHECK(std::ranges::count(gateway.kernel.verdicts,
                             SentVerdict{.queue = 3, .verdict = accept_verdict, .id = id}) == 1);
  }
}

TEST_CASE("damaged datagrams end, and each packet that can be named has exactly one verdict") {
  Dice random(7);
  Gateway gateway;
  std::uint64_t verdicts = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes datagram = packet_message({.id = 1, .fwmark = 1, .packet = udp(tenant, remote)}) +
                     packet_message({.id = 2, .fwmark = 2, .packet = tcp(tenant, remote)});
    for (std::uint32_t i = 0; i <= random.below(4); ++i) {
      datagram[random.below(static_cast<std::uint32_t>(datagram.size()))] =
          static_cast<std::uint8_t>(random());
    }
    if (random.one_in(3))
      datagram.resize(random.below(static_cast<std::uint32_t>(datagram.size())));
    const std::uint64_t before = gateway.count(QueueCounter::received);
    gateway.give_datagram(datagram);
    gateway.wait();  // the damage may have made a fragment of it, which is held
    verdicts += gateway.kernel.verdicts.size();
    REQUIRE_EQ(gateway.kernel.verdicts.size(), gateway.count(QueueCounter::received) - before);
    gateway.kernel.verdicts.clear();
  }
  CHECK_EQ(gateway.count(QueueCounter::accepted) + gateway.count(QueueCounter::passed) +
               gateway.count(QueueCounter::dropped),
           verdicts);
}

TEST_CASE("who gets no session is told with the packet's fwmark, and the packet is dropped") {
  Gateway gateway;
  const Bytes refused = udp(tenant, {remote.address, 81}, payload_of(9));
  gateway.give({.id = 1, .fwmark = 0x503, .packet = udp(tenant, remote)});
  CHECK(gateway.answers.sent.empty());
  gateway.give({.id = 2, .fwmark = 0x503, .packet = refused});
  REQUIRE_EQ(gateway.kernel.verdicts.size(), 2u);
  CHECK_EQ(gateway.kernel.verdicts[1].verdict, drop_verdict);
  REQUIRE_EQ(gateway.answers.sent.size(), 1u);
  const auto& [answer, fwmark] = gateway.answers.sent[0];
  CHECK_EQ(fwmark, 0x503u);
  CHECK(quoted_in(answer) == refused);
  CHECK_EQ(gateway.count(QueueCounter::answers_sent), 1u);
}

TEST_CASE("a hairpin that the receiver has no session for is told to the sender") {
  Gateway gateway;
  gateway.give({.id = 1, .fwmark = 3, .packet = udp(tenant, {external, 7})});
  const Peer mapped = source_of(*gateway.kernel.verdicts[0].packet);
  const Bytes refused = udp(remote, mapped, payload_of(9));
  gateway.give({.id = 2, .hook = NF_INET_PRE_ROUTING, .fwmark = 2, .packet = refused});
  CHECK_EQ(gateway.count(Reason::session_limit), 1u);
  REQUIRE_EQ(gateway.answers.sent.size(), 1u);
  const auto& [answer, fwmark] = gateway.answers.sent[0];
  CHECK_EQ(fwmark, 2u);
  CHECK_EQ(destination_of(answer).address, remote.address);
  CHECK(quoted_in(answer) == refused);
}
