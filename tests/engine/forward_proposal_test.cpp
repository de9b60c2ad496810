// Which external endpoint a new forward would best have.
#include <doctest/doctest.h>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

Policy both_with(PortRanges ports, Mapping mapping = Mapping::endpoint_independent) {
  Policy policy = policy_of_both();
  policy.ports = std::move(ports);
  policy.mapping = mapping;
  return policy;
}

template <class F>
Engine::ForwardWish wish_for(typename F::Peer internal, std::uint16_t like) {
  return {.namespace_id = blue, .protocol = protocol::udp, .internal = internal, .like = like};
}

template <class F>
ForwardRule rule_at(std::uint16_t port, typename F::Peer to) {
  return {.protocol = protocol::udp,
          .external = typename F::Peer{F::external(), port},
          .namespace_id = blue,
          .to = to};
}

}  // namespace

TEST_CASE_TEMPLATE("forward proposal: the port that it is to be like, where nobody has it", F, V4,
                   V6) {
  Gateway gateway(both_with({40000, 40007}), options_of(2));
  const auto like = [&](std::uint16_t port) {
    return gateway.engine.propose_external(wish_for<F>(F::client(), port), gateway.now);
  };
  CHECK(like(40004) == IpEndpoint(at(typename F::Peer{F::external()}, 40004)));
  CHECK(like(40004) == IpEndpoint(at(typename F::Peer{F::external()}, 40004)));  // it was not kept
  // A mapping's, a forward's, and one of the gateway's own are not proposed.
  const auto other = at(F::neighbour(), 40004);
  open<F>(gateway, protocol::udp, green, other, F::server());
  REQUIRE(gateway.sessions().size() == 1);
  Policy policy = both_with({40000, 40007});
  policy.forwards = {rule_at<F>(40002, F::neighbour())};
  gateway.set_policy(policy);
  PortBits withheld;
  withheld.set(40006);
  gateway.engine.withhold(protocol::udp, withheld);
  for (const std::uint16_t port : {std::uint16_t{40002}, std::uint16_t{40004}, std::uint16_t{40006},
                                   std::uint16_t{40000}, std::uint16_t{80}}) {
    const auto proposed = like(port);
    REQUIRE(proposed);
    CHECK_EQ(proposed->port, 40000);  // of the same parity
  }
}

TEST_CASE_TEMPLATE("forward proposal: nothing, where all ports are taken, or none is meant", F, V4,
                   V6) {
  Gateway gateway(both_with({40000, 40000}));
  Policy policy = both_with({40000, 40000});
  policy.forwards = {rule_at<F>(40000, F::neighbour())};
  gateway.set_policy(policy);
  Engine::ForwardWish wish = wish_for<F>(F::client(), 40000);
  CHECK_FALSE(gateway.engine.propose_external(wish, gateway.now));
  gateway.set_policy(both_with({40000, 40000}));
  gateway.travel(10min);
  REQUIRE(gateway.engine.propose_external(wish, gateway.now));
  wish.external = F::stranger().address;
  CHECK_FALSE(gateway.engine.propose_external(wish, gateway.now));
  wish.external = F::external();
  CHECK(gateway.engine.propose_external(wish, gateway.now));
  wish.namespace_id = 60'000;
  CHECK_FALSE(gateway.engine.propose_external(wish, gateway.now));
  wish = wish_for<F>(F::client(), 40000);
  wish.protocol = protocol::icmp;
  CHECK_FALSE(gateway.engine.propose_external(wish, gateway.now));
}

TEST_CASE_TEMPLATE("forward proposal: what the internal endpoint's mapping has", F, V4, V6) {
  Gateway gateway(both_with({50000, 50999}), options_of(4));
  const auto external = open<F>(gateway, protocol::udp, blue, F::client(), F::server());
  const auto wish = wish_for<F>(F::client(), 50500);
  CHECK(gateway.engine.propose_external(wish, gateway.now) == IpEndpoint(external));
  // The same internal endpoint of another namespace, and another protocol, are others.
  auto other = wish;
  other.namespace_id = green;
  CHECK_EQ(gateway.engine.propose_external(other, gateway.now)->port, 50500);
  other = wish;
  other.protocol = protocol::tcp;
  CHECK_EQ(gateway.engine.propose_external(other, gateway.now)->port, 50500);
  // With the forward the tenant's next packet leaves as before.
  Policy policy = both_with({50000, 50999});
  policy.forwards = {rule_at<F>(external.port, F::client())};
  gateway.set_policy(policy);
  CHECK(open<F>(gateway, protocol::udp, blue, F::client(), F::server()) == external);
  CHECK_EQ(gateway.engine.propose_external(wish, gateway.now)->port, 50500);
}

TEST_CASE_TEMPLATE("forward proposal: a port that only sessions have, of a mapping for each", F, V4,
                   V6) {
  Gateway gateway(both_with({50000, 50999}, Mapping::address_and_port_dependent));
  const auto external = open<F>(gateway, protocol::udp, blue, F::client(), F::server());
  const auto wish = wish_for<F>(F::client(), external.port);
  CHECK(gateway.engine.propose_external(wish, gateway.now) == IpEndpoint(external));
}
