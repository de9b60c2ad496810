// Which external address an internal one has (RFC 4787 REQ-2), over restarts and changes.
#include "engine/ports/pairing.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "tests/support/families.h"
#include "tests/support/memory_block.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Secret key{1, 2, 3, 4};
constexpr NamespaceId some_tenant = 1003;

template <class Family>
typename Family::Address address(std::uint32_t number);
template <>
Ipv4Address address<Ipv4>(std::uint32_t number) {
  return Ipv4Address::from_host(0xcb00'7100 + number);
}
template <>
Ipv6Address address<Ipv6>(std::uint32_t number) {
  return {{0x2001'0db8, __builtin_bswap64(number)}};
}

template <class Family>
std::vector<typename Family::Address> addresses(std::uint32_t count) {
  std::vector<typename Family::Address> list;
  for (std::uint32_t i = 0; i < count; ++i) list.push_back(address<Family>(i));
  return list;
}

// The external address of each of many internal ones.
template <class Family>
std::vector<typename Family::Address> paired(
    const std::vector<typename Family::Address>& external,
    const std::vector<typename Family::Address>& own = {}) {
  const Pairing<Family> pairing(external, keys_from(key));
  std::vector<typename Family::Address> result;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    result.push_back(pairing.of(address<Family>(0x1000 + i), some_tenant, own));
  }
  return result;
}

Policy policy_of(std::uint32_t externals) {
  Policy policy = roomy_policy();
  policy.external.v4 = addresses<Ipv4>(externals);
  return policy;
}

// What a gateway gives to each of some hosts.
std::vector<Host> given(Gateway& gateway) {
  std::vector<Host> externals;
  for (std::uint32_t host = 0; host < 100; ++host) {
    const Peer internal{Host::from_host(0x0a00'0002 + host), 5000};
    externals.push_back(gateway.open(protocol::udp, blue, internal, server).address);
  }
  return externals;
}

EngineOptions with_another_secret(EngineOptions options, std::uint64_t number) {
  options.secret[0] += 0x1234'5678 * number;
  return options;
}

}  // namespace

TEST_CASE_TEMPLATE("pairing: every external address has its part", Family, Ipv4, Ipv6) {
  for (const std::uint32_t count : {2u, 3u, 4u, 16u, 64u}) {
    CAPTURE(count);
    const auto all = addresses<Family>(count);
    for (const auto& own : {decltype(all){}, all}) {
      const auto externals = paired<Family>(all, own);
      for (const auto& one : all) {
        const double part = static_cast<double>(std::ranges::count(externals, one)) * count /
                            static_cast<double>(externals.size());
        CHECK_GT(part, 0.7);
        CHECK_LT(part, 1.3);
      }
    }
  }
}

TEST_CASE_TEMPLATE("pairing: an address that is added only takes, one that goes only gives", Family,
                   Ipv4, Ipv6) {
  for (const std::uint32_t count : {1u, 2u, 4u, 15u, 63u}) {
    CAPTURE(count);
    const auto fewer = addresses<Family>(count);
    const auto more = addresses<Family>(count + 1);
    for (const bool by_own : {false, true}) {
      const auto everything = addresses<Family>(64);
      const auto before = by_own ? paired<Family>(everything, fewer) : paired<Family>(fewer);
      const auto after = by_own ? paired<Family>(everything, more) : paired<Family>(more);
      std::size_t moved = 0;
      for (std::size_t i = 0; i < before.size(); ++i) {
        if (before[i] == after[i]) continue;
        ++moved;
        CHECK(after[i] == more.back());
      }
      const double part =
          static_cast<double>(moved) * (count + 1) / static_cast<double>(before.size());
      CHECK_GT(part, 0.7);
      CHECK_LT(part, 1.3);
    }
  }
}

TEST_CASE_TEMPLATE("pairing: the order of the list does not matter, nor whose list it is", Family,
                   Ipv4, Ipv6) {
  const auto list = addresses<Family>(7);
  auto turned = list;
  std::ranges::reverse(turned);
  CHECK(paired<Family>(list) == paired<Family>(turned));
  CHECK(paired<Family>(list) == paired<Family>(addresses<Family>(64), list));
}

TEST_CASE("pairing: it is the same after restarts, whatever the secret") {
  const Policy policy = policy_of(4);
  const EngineOptions options = options_of(2, 1024);
  Memory memory(options, policy);
  Gateway first(policy, memory.given_to(options));
  const std::vector<Host> before = given(first);
  first.travel(10min);
  first.expire_all();
  REQUIRE_EQ(first.engine.session_count(), 0);
  for (std::uint64_t restart = 1; restart <= 3; ++restart) {
    Gateway next(
        policy, memory.given_to(with_another_secret(options, restart), first.now + restart * 1min));
    CHECK(given(next) == before);
    next.travel(10min);
    next.expire_all();
  }
}

TEST_CASE("pairing: the key can be brought over to another configuration") {
  const EngineOptions options = options_of(2, 1024);
  Memory memory(options, policy_of(4));
  CHECK_FALSE(Engine::pairing_key(memory.bytes()));
  Gateway four(policy_of(4), memory.given_to(options));
  const auto brought = Engine::pairing_key(memory.bytes());
  REQUIRE(brought);
  CHECK_FALSE(Engine::pairing_key(memory.bytes().first(100)));

  EngineOptions other = with_another_secret(options_of(4, 2048), 1);
  other.pairing_key = *brought;
  Gateway five(policy_of(5), other);
  const std::vector<Host> before = given(four);
  const std::vector<Host> after = given(five);
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK((after[i] == before[i] || after[i] == address<Ipv4>(4)));
  }
  CHECK(after != before);

  // What lies in the memory counts.
  EngineOptions wrong = with_another_secret(options, 2);
  wrong.pairing_key = {5, 6, 7, 8};
  Gateway again(policy_of(4), memory.given_to(wrong));
  CHECK(Engine::pairing_key(memory.bytes()) == brought);
}

TEST_CASE("pairing: engines without a key of theirs differ") {
  Gateway one(policy_of(4));
  Gateway other(policy_of(4), with_another_secret(options_of(1), 1));
  CHECK(given(one) != given(other));
}
