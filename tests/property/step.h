// What is done to an engine, one step after the other: plain data, so that a sequence can be made
// at random, shortened, printed as C++ and played again.
//
// A step names endpoints by their roles: "the external endpoint of this flow" is looked up when the
// step is played, because the engine chooses ports as it likes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "swnat/engine.h"
#include "tests/property/cast.h"

namespace swnat::property {

// IP protocols.
namespace ip {
inline constexpr std::uint8_t icmp = 1;  // of either family
inline constexpr std::uint8_t tcp = 6;
inline constexpr std::uint8_t udp = 17;
inline constexpr std::uint8_t gre = 47;
}  // namespace ip

namespace flag {
inline constexpr std::uint8_t fin = 0x01;
inline constexpr std::uint8_t syn = 0x02;
inline constexpr std::uint8_t rst = 0x04;
inline constexpr std::uint8_t psh = 0x08;
inline constexpr std::uint8_t ack = 0x10;
}  // namespace flag

enum class What : std::uint8_t {
  travel,     // time passes
  sweep,      // Engine::expire() for every shard, until nothing is due
  configure,  // Engine::set_policy()
  out,        // a packet from the flow's internal endpoint to its remote
  in,         // one from its remote to its external endpoint
  error_in,   // an ICMP error from outside about a packet that went out
  error_out,  // one from inside about a packet that came in
  flush,      // Engine::end_sessions() of those that have some parts in common with the flow
};

enum class Sum : std::uint8_t {
  right,
  damaged,
  absent,         // UDP over IPv4: 0
  partial,        // ChecksumState::partial
  segmented,      // ChecksumState::segmented
  header_damaged  // that of the IPv4 header; of the quoted one in an ICMP error
};

struct TcpFields {
  std::uint8_t flags = flag::syn;
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgment = 0;
  std::uint16_t window = 1000;
  int scale = -1;             // of the window scale option; -1: without
  std::uint8_t reserved = 0;  // the low half of the data offset's byte

  friend bool operator==(const TcpFields&, const TcpFields&) = default;
};

// What is the NAT's business only in so far as it must leave it alone.
struct Look {
  std::uint8_t ttl = 64;
  std::uint8_t option_words = 0;  // IPv4 options; any but 0: an IPv6 extension header
  bool may_be_cut = false;        // IPv4 without "don't fragment"
  std::uint16_t payload = 0;      // bytes
  std::uint8_t trailing = 0;      // bytes beyond the IP total length
  Sum sum = Sum::right;

  friend bool operator==(const Look&, const Look&) = default;
};

// How the fragments of a datagram come.
enum class Arrival : std::uint8_t {
  in_order,
  last_first,  // and once more when the first one was there
  first_twice,
};

// A mapping by its internal side.
struct Internal {
  NamespaceId tenant = 1;
  std::uint8_t host = 0;
  std::uint16_t port = 1000;

  friend bool operator==(const Internal&, const Internal&) = default;
};

// As a remote: the external endpoint of Step::peer.
inline constexpr std::uint8_t peer_remote = 255;

// What a flush asks for, joined by |.
namespace part {
inline constexpr std::uint16_t tenant = 1;
inline constexpr std::uint16_t protocol = 2;
inline constexpr std::uint16_t internal_host = 4;
inline constexpr std::uint16_t internal_port = 8;
inline constexpr std::uint16_t external_host = 16;
inline constexpr std::uint16_t external_port = 32;
inline constexpr std::uint16_t remote_host = 64;
inline constexpr std::uint16_t remote_port = 128;
inline constexpr std::uint16_t state = 256;
inline constexpr std::uint32_t count = 9;
}  // namespace part

struct Step {
  What what = What::out;
  Time time{0};            // travel; flush: for how long idle
  std::size_t policy = 0;  // configure: which of Setup::policies
  // The flow.
  bool v6 = false;
  std::uint8_t protocol = ip::udp;
  Internal from = {};
  std::uint8_t remote = 0;
  std::uint16_t remote_port = 80;
  Internal peer = {};
  // in: if not 0, to this external port and not to the flow's.
  std::uint16_t guess = 0;
  std::uint8_t external = 0;  // the external address of a guess
  bool early = false;         // out, error_out: before it is routed (Direction::hairpin)
  bool raw = false;           // in: from whom the tenant believes to talk to, redirected or not
  TcpFields tcp = {};
  Look look = {};
  // out, in: fragments that it is cut into; 1: none.
  std::uint8_t pieces = 1;
  Arrival arrival = Arrival::in_order;
  // error_in, error_out
  std::uint8_t error = 0;      // 0 unreachable, 1 time exceeded, 2 parameter problem, 3 too big
  std::uint16_t quoted = 576;  // how many bytes of the packet it quotes, at most
  bool by_host = false;        // from the flow's own host, not from a router
  std::uint16_t parts = 0;     // flush

  friend bool operator==(const Step&, const Step&) = default;
};

struct Setup {
  std::uint32_t shards = 1;
  std::uint32_t max_sessions = 4096;
  std::uint64_t secret = 1;
  Time start{1'000'000};
  std::vector<Policy> policies = {};  // the first one is the engine's at its start
};

// The policy from which random ones differ: what the printed test begins with.
Policy plain_policy();

// A doctest test case that plays the steps, to be pasted into regressions_test.cpp.
std::string as_test_case(const Setup& setup, const std::vector<Step>& steps);

}  // namespace swnat::property
