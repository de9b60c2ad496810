// The identifications that the NAT gives to datagrams which are, or may become, fragments.
//
// Theory of operation
//
// Behind one external address the datagrams of many tenants look like one host's. Tenants choose
// their identifications without knowing of each other, so two datagrams to the same remote could
// have the same one, and the remote would join pieces of both (RFC 6864). The NAT
// therefore gives its own: between the same endpoints none comes again before all others have.
//
// Endpoints share counters by hash. The identification is the counter plus an offset that only the
// secret and the endpoints make, so that endpoints begin anywhere, and those that share a counter
// learn no more of each other than how fast it runs (RFC 7739). Sharing makes a cycle shorter,
// never wrong.
//
// 0 is an identification like any other: RFC 6864 gives it no meaning, and the kernel, which
// numbers the pieces of a segmented packet from the given one upwards, does not step over it.
#pragma once

#include <cstdint>

#include "engine/base/hash.h"
#include "engine/base/memory.h"

namespace swnat {

// Any thread may call any function at any time. There should be one object for all that use the
// same external addresses.
class Identifications {
 public:
  explicit Identifications(const Secret& secret) : secret_(secret) {}

  void populate() { counters_.populate(); }

  // `endpoints` is a keyed hash of external address, remote address and, for IPv4, protocol.
  // Returns the first of `count` identifications, modulo 2^16, that are the caller's from now on.
  std::uint16_t next(std::uint64_t endpoints, std::uint16_t count = 1) {
    return static_cast<std::uint16_t>(next_wide(endpoints, count));
  }

  // For IPv6, modulo 2^32.
  std::uint32_t next_wide(std::uint64_t endpoints, std::uint16_t count = 1);

 private:
  static constexpr std::size_t counters = std::size_t{1} << 16;

  Secret secret_;
  ReservedArray<std::uint32_t> counters_{counters};
};

}  // namespace swnat
