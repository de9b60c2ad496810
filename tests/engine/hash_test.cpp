#include "engine/base/hash.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <vector>

#include "engine/session/flow_key.h"
#include "engine/wire/family.h"

namespace swnat {
namespace {

template <class Family>
typename Family::Address address(std::uint8_t network, std::uint32_t host) {
  if constexpr (Family::version == 4) {
    return Ipv4Address::from_host(std::uint32_t{network} << 24 | host);
  } else {
    return {{0xb80d'0120 + (std::uint64_t{network} << 56), __builtin_bswap64(std::uint64_t{host})}};
  }
}

// The hashes of flows that differ in few bits, as those of one network do.
template <class Family>
std::vector<std::uint64_t> hashes_of_flows(const Secret& keys) {
  constexpr std::uint32_t hosts = 128;
  constexpr std::uint16_t ports = 64;
  std::vector<std::uint64_t> hashes;
  for (std::uint32_t host = 0; host < hosts; ++host) {
    for (std::uint16_t port = 40'000; port < 40'000 + ports; ++port) {
      const Leg<Family> leg{address<Family>(1, host), address<Family>(2, 1), port, 443};
      for (const std::uint8_t protocol : {protocol::udp, protocol::tcp}) {
        hashes.push_back(FlowKey<Family>::inside_flow(1, protocol, leg).hash(keys));
      }
    }
  }
  return hashes;
}

// The share of buckets that none of them meets, of half as many buckets.
double empty_share(const std::vector<std::uint64_t>& hashes) {
  std::vector<bool> is_met(hashes.size() / 2);
  for (const std::uint64_t hash : hashes) is_met[(hash >> 32) * is_met.size() >> 32] = true;
  return static_cast<double>(std::ranges::count(is_met, false)) /
         static_cast<double>(is_met.size());
}

constexpr Secret poor_secrets[] = {{},           {1, 2, 3, 4},     {0, 0, 0, 1},
                                   {1, 1, 1, 1}, {~0ULL, 0, 0, 0}, {~0ULL, ~0ULL, ~0ULL, ~0ULL}};

}  // namespace

TEST_CASE_TEMPLATE("hash: keys spread flows, whatever the secret is", Family, Ipv4, Ipv6) {
  constexpr double most = 0.16;  // by chance e^-2, 0.135
  for (const Secret& secret : poor_secrets) {
    CAPTURE(secret[0]);
    CAPTURE(secret[3]);
    const std::vector<std::uint64_t> hashes = hashes_of_flows<Family>(keys_from(secret));
    CHECK_LT(empty_share(hashes), most);
    CHECK_EQ(std::set(hashes.begin(), hashes.end()).size(), hashes.size());
  }
}

// Whatever the two addresses multiply to under the keys.
TEST_CASE_TEMPLATE("hash: runs of ports between two addresses are spread", Family, Ipv4, Ipv6) {
  constexpr std::size_t buckets = 512;
  constexpr std::uint32_t ports = 4096;  // eight in a bucket on average
  constexpr std::uint16_t most = 40;     // by chance no bucket of all pairs has as many
  for (std::uint32_t pair = 0; pair < 2000; ++pair) {
    const Secret keys = keys_from({pair, pair, pair, pair});
    std::array<std::uint16_t, buckets> counts{};
    for (std::uint32_t i = 0; i < ports; ++i) {
      const Leg<Family> leg{address<Family>(1, pair), address<Family>(2, pair * 7),
                            static_cast<std::uint16_t>(32'768 + i), 443};
      const std::uint64_t hash = FlowKey<Family>::inside_flow(1, protocol::udp, leg).hash(keys);
      ++counts[(hash >> 32) * buckets >> 32];
    }
    CAPTURE(pair);
    REQUIRE_LT(std::ranges::max(counts), most);
  }
}

TEST_CASE("hash: a secret of few bits would not do as keys") {
  CHECK_GT(empty_share(hashes_of_flows<Ipv4>({})), 0.5);
}

TEST_CASE("hash: every word of the secret changes the keys") {
  const Secret secret{1, 2, 3, 4};
  const Secret keys = keys_from(secret);
  for (std::size_t i = 0; i < secret.size(); ++i) {
    Secret other = secret;
    other[i] ^= 1;
    CHECK_NE(keys_from(other), keys);
  }
}

}  // namespace swnat
