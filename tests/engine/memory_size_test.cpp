// What an engine says that it will need, and what it takes.
#include <doctest/doctest.h>
#include <malloc.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/families.h"

using namespace swnat;
using namespace swnat::test;

namespace {

std::size_t needed(const EngineOptions& options, const Policy& policy) {
  return Engine::memory_size(options, policy) + Engine::session_memory_size(options, policy);
}

}  // namespace

#ifndef SWNAT_SANITIZED  // which takes memory of its own
namespace {

std::size_t resident() {
  ::malloc_trim(0);  // what earlier tests gave back would be taken first
  std::size_t all = 0;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> all >> pages;
  return pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// What an engine took is a tenth more or less than what it said.
void check_taken(std::size_t taken, std::size_t said) {
  CHECK_LT(static_cast<double>(taken), static_cast<double>(said) * 1.1);
  CHECK_GT(static_cast<double>(taken), static_cast<double>(said) * 0.9);
}

}  // namespace

TEST_CASE("memory_size: what a populated engine takes") {
  for (const std::uint32_t shards : {1u, 8u}) {
    for (const bool has_both : {false, true}) {
      CAPTURE(shards);
      CAPTURE(has_both);
      Policy policy = has_both ? policy_of_both() : roomy_policy();
      policy.external.v4.push_back(Host::of(203, 0, 113, 2));
      EngineOptions options = options_of(shards, 200'000);
      options.populate = true;
      const std::size_t before = resident();
      const Gateway gateway(policy, options);
      check_taken(resident() - before, needed(options, policy));
    }
  }
}

TEST_CASE("memory_size: port blocks are counted") {
  Policy policy = roomy_policy();
  policy.ports = {40000, 40063};
  policy.namespaces[0].port_block = 64;
  for (std::uint8_t host = 2; host <= 60; ++host) {
    policy.external.v4.push_back(Host::of(203, 0, 113, host));
  }
  EngineOptions options = options_of(1, 1000);
  options.populate = true;
  const std::size_t before = resident();
  const Gateway gateway(policy, options);
  check_taken(resident() - before, needed(options, policy));
}

TEST_CASE("memory_size: what an engine comes to take, whose sessions are all used") {
  struct Case {
    std::uint32_t shards;
    std::uint32_t sessions;
    NamespaceId namespaces;
  };
  for (const Case& c : {Case{64, 8192, 1}, Case{16, 16'384, 4}, Case{4, 32'768, 8}}) {
    CAPTURE(c.shards);
    Policy policy = roomy_policy();
    policy.ports = {1024, 65535};
    policy.namespaces = {{.first = 1, .last = c.namespaces, .session_limit = c.sessions}};
    const EngineOptions options = options_of(c.shards, c.sessions);
    const std::size_t before = resident();
    Gateway gateway(policy, options);
    for (std::uint32_t i = 0; i < c.sessions; ++i) {
      const auto port = static_cast<std::uint16_t>(1024 + i % 16'384);
      const Peer remote{Host::from_host(0xc633'6400 + i), 80};
      gateway.out(1 + i % c.namespaces, udp(at(client, port), remote));
    }
    const double taken = static_cast<double>(resident() - before);
    // What many shards begin pages for is not counted.
    constexpr double pages = 8 << 20;
    CHECK_LT(taken, static_cast<double>(needed(options, policy)) * 1.1 + pages);
  }
}
#endif

TEST_CASE(
    "memory_size: it grows with sessions, addresses and families, and namespaces cost little") {
  const EngineOptions options = options_of(1, 1'000'000);
  const Policy policy = roomy_policy();
  const std::size_t some = needed(options, policy);
  CHECK_GT(needed(options_of(1, 2'000'000), policy), some + 1'000'000 * 170);
  CHECK_LT(needed(options_of(1, 2'000'000), policy), some + 1'000'000 * 192);
  CHECK_GT(needed(options, policy_of_both()), some);
  Policy more = policy;
  more.external.v4.push_back(Host::of(203, 0, 113, 2));
  CHECK_GT(needed(options, more), some);
  EngineOptions populated = options;
  populated.populate = true;
  CHECK_GT(needed(populated, policy), some);
}
