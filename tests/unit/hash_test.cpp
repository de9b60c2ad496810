#include "engine/hash.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "engine/family.h"
#include "engine/flow_key.h"

namespace swnat {
namespace {

// The hashes of flows that differ in few bits, as those of one network do.
std::vector<std::uint64_t> hashes_of_flows(const Secret& keys) {
  constexpr std::uint32_t flows = 16'384;
  std::vector<std::uint64_t> hashes;
  for (std::uint32_t i = 0; i < flows; ++i) {
    const Leg<Ipv4> leg{Ipv4Address::from_host(0x0a00'0000 + i / 64), Ipv4Address::of(192, 0, 2, 1),
                        static_cast<std::uint16_t>(40'000 + i % 64), 443};
    hashes.push_back(FlowKey<Ipv4>::inside_flow(1, protocol::udp, leg).hash(keys));
  }
  return hashes;
}

// The most of them that share a bucket, of half as many buckets.
std::uint32_t fullest_bucket(const std::vector<std::uint64_t>& hashes) {
  std::vector<std::uint32_t> buckets(hashes.size() / 2);
  for (const std::uint64_t hash : hashes) ++buckets[(hash >> 32) * buckets.size() >> 32];
  return std::ranges::max(buckets);
}

constexpr Secret poor_secrets[] = {{},           {1, 2, 3, 4},     {0, 0, 0, 1},
                                   {1, 1, 1, 1}, {~0ULL, 0, 0, 0}, {~0ULL, ~0ULL, ~0ULL, ~0ULL}};

}  // namespace

TEST_CASE("hash: keys spread flows, whatever the secret is") {
  // Of two in a bucket on average, no bucket has more than twelve by chance.
  constexpr std::uint32_t by_chance = 12;
  for (const Secret& secret : poor_secrets) {
    CAPTURE(secret[0]);
    CAPTURE(secret[3]);
    const std::vector<std::uint64_t> hashes = hashes_of_flows(keys_from(secret));
    CHECK_LE(fullest_bucket(hashes), by_chance);
    CHECK_EQ(std::set(hashes.begin(), hashes.end()).size(), hashes.size());
  }
  CHECK_GT(fullest_bucket(hashes_of_flows({})), by_chance);
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
