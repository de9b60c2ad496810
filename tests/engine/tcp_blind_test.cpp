// Two engines see the same connections, one of them with segments between theirs from somebody who
// knows the endpoints but no number: their sessions are the same after each segment.
#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/support/connection.h"
#include "tests/support/dice.h"
#include "tests/support/effort.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Peer service{external_host, 40080};

// All numbers of the connections lie in a part of all that is this long.
constexpr std::uint32_t honest_numbers = 1U << 27;
// What is blind is farther away than any window reaches.
constexpr std::uint32_t distance = 1U << 28;
constexpr std::uint8_t scale_max = 10;

struct Segment {
  bool is_outbound = false;
  TcpFields fields = {};
  std::uint16_t payload_size = 0;
  Time wait{};  // before it
  // The other end's answer to it is told from a stranger's by what was seen last.
  bool is_claim = false;
};

Bytes scale_option(std::uint8_t scale) {
  return {3, 3, scale, 0};
}

// Two hosts that have one connection after the other between the same endpoints.
class Hosts {
 public:
  Hosts(Dice& dice, std::uint32_t base) : dice_(dice), base_(base) {}

  std::vector<Segment> talk(bool from_inside) {
    open(from_inside, false);
    for (std::uint32_t count = 1 + dice_.below(3); count != 0; --count) {
      for (std::uint32_t i = dice_.below(4); i != 0; --i) exchange(dice_.one_in(2));
      if (dice_.one_in(3)) miss();
      end();
      if (count > 1) open(dice_.one_in(2), true);
    }
    return std::move(trace_);
  }

 private:
  std::uint32_t& next(bool inside) { return next_[inside ? 1 : 0]; }

  void send(bool outbound, int flags, std::uint16_t size = 0, bool is_claim = false) {
    const bool takes_number = (flags & (syn | fin)) != 0;
    Segment segment{.is_outbound = outbound, .payload_size = size, .is_claim = is_claim};
    segment.fields.flags = static_cast<std::uint8_t>(flags);
    segment.fields.sequence = next(outbound);
    if ((flags & ack) != 0) segment.fields.acknowledgment = next(!outbound);
    segment.fields.window = 0xffff;
    if ((flags & syn) != 0 && has_scale_) {
      segment.fields.options = scale_option(outbound ? scale_ : scale_max);
    }
    segment.wait = Time{dice_.below(dice_.one_in(4) ? 230'000 : 1000)};
    trace_.push_back(segment);
    next(outbound) += std::uint32_t{size} + (takes_number ? 1 : 0);
  }

  void resend(bool outbound) {
    Segment again = trace_.back();
    for (const Segment& one : trace_) {
      if (one.is_outbound == outbound) again = one;
    }
    trace_.push_back(again);
  }

  void open(bool from_inside, bool is_again) {
    has_scale_ = !dice_.one_in(3);
    scale_ = static_cast<std::uint8_t>(dice_.below(scale_max + 1));
    // Far from the numbers of the connection before.
    for (const bool inside : {true, false}) next(inside) = base_ + dice_.below(honest_numbers / 2);
    const bool is_claim = is_again && !from_inside;
    send(from_inside, syn, 0, is_claim);
    if (dice_.one_in(4) && !is_claim) resend(from_inside);
    if (dice_.one_in(6)) {  // refused
      send(!from_inside, rst | ack);
      return open(dice_.one_in(2), true);
    }
    if (dice_.one_in(6) && !is_claim) open_at_once(from_inside);
    send(!from_inside, syn | ack);
    if (dice_.one_in(4)) resend(!from_inside);
    send(from_inside, ack);
  }

  void open_at_once(bool from_inside) {
    send(!from_inside, syn);
    for (const bool outbound : {from_inside, !from_inside}) {
      --next(outbound);
      send(outbound, syn | ack);
    }
    --next(!from_inside);
  }

  void exchange(bool outbound) {
    const bool scaled = has_scale_ && scale_ >= 3;
    for (std::uint32_t i = 1 + dice_.below(scaled ? 200 : 20); i != 0; --i) {
      send(outbound, ack, static_cast<std::uint16_t>(dice_.below(1400)));
    }
    if (!dice_.one_in(4)) send(!outbound, ack);
  }

  // Segments that take another way.
  void miss() {
    for (const bool inside : {true, false}) next(inside) += dice_.below(1U << 22);
    const bool outbound = dice_.one_in(2);
    send(outbound, ack, 100, !outbound);
    send(!outbound, ack, 100);
    send(outbound, ack);
  }

  void end() {
    const bool outbound = dice_.one_in(2);
    switch (dice_.below(5)) {
      case 0:
        return;  // without a word
      case 1:
        send(outbound, rst | ack);
        if (dice_.one_in(2)) exchange(!outbound);  // it was not believed
        return;
      case 2:  // one goes on, then resets
        send(outbound, fin | ack);
        exchange(!outbound);
        send(outbound, rst);
        return;
      default:
        send(outbound, fin | ack);
        if (dice_.one_in(3)) exchange(!outbound);
        send(!outbound, fin | ack);
        if (dice_.one_in(3)) send(!outbound, rst | ack);
        send(outbound, ack);
    }
  }

  Dice& dice_;
  std::uint32_t base_;
  std::uint32_t next_[2] = {};
  bool has_scale_ = false;
  std::uint8_t scale_ = 0;
  std::vector<Segment> trace_;
};

Policy forwarding() {
  Policy policy = roomy_policy();
  policy.forwards = {{.protocol = protocol::tcp,
                      .external = IpEndpoint{service.address, service.port},
                      .namespace_id = blue,
                      .to = IpEndpoint{client.address, client.port}}};
  return policy;
}

Reason send(Gateway& gateway, const Segment& segment) {
  const Bytes payload(segment.payload_size, 0);
  return segment.is_outbound
             ? gateway.out(blue, tcp(client, server, segment.fields, payload)).reason
             : gateway.in(tcp(server, service, segment.fields, payload)).reason;
}

Segment blind(Dice& dice, std::uint32_t base) {
  constexpr int flags[] = {0,   fin,       syn,       syn | ack,        syn | ack, ack,       ack,
                           rst, rst | ack, fin | ack, push | ack | fin, push,      syn | fin, syn};
  const auto number = [&] {
    return base + honest_numbers + distance + dice.below(0U - honest_numbers - 2 * distance);
  };
  Segment segment{.payload_size =
                      static_cast<std::uint16_t>(dice.one_in(2) ? dice.below(1400) : 0)};
  segment.fields = {.flags = static_cast<std::uint8_t>(flags[dice.below(std::size(flags))]),
                    .sequence = number(),
                    .acknowledgment = number(),
                    .window = dice.word()};
  if (dice.one_in(2)) {
    segment.fields.options = scale_option(static_cast<std::uint8_t>(dice.below(scale_max + 1)));
  }
  return segment;
}

void compare(std::uint32_t seed) {
  CAPTURE(seed);
  Dice dice(seed);
  const std::uint32_t base = dice();
  const std::vector<Segment> trace = Hosts(dice, base).talk(dice.one_in(2));
  Gateway quiet(forwarding());
  Gateway disturbed(forwarding());
  bool is_claim = true;  // nor is there a session yet
  for (std::size_t i = 0; i < trace.size(); ++i) {
    CAPTURE(i);
    for (Gateway* one : {&quiet, &disturbed}) one->travel(trace[i].wait);
    const bool is_there = !quiet.sessions().empty();
    if (is_there && !is_claim) {
      for (std::uint32_t count = dice.below(3); count != 0; --count) {
        send(disturbed, blind(dice, base));
      }
    }
    if (!is_there && i != 0) return;
    const Reason reason = send(quiet, trace[i]);
    REQUIRE_EQ(send(disturbed, trace[i]), reason);
    is_claim = trace[i].is_claim;
    const auto left = quiet.sessions();
    const auto found = disturbed.sessions();
    REQUIRE_EQ(found.size(), left.size());
    for (std::size_t k = 0; k < left.size(); ++k) {
      REQUIRE_EQ(found[k].state, left[k].state);
      REQUIRE_EQ(found[k].expires_in, left[k].expires_in);
    }
  }
}

}  // namespace

TEST_CASE("tcp_blind: who knows no number ends nothing, opens nothing and prolongs nothing") {
  for (std::uint32_t seed = 1; seed <= 100 * effort; ++seed) compare(seed);
}
