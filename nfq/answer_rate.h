// How many ICMP answers may be sent (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4f): so many in
// any second, and so many of these to one namespace.
//
// Theory of operation
//
// What was sent in the last second is remembered, by whom it was sent to, so both limits hold for
// every second there is, and a burst within them is sent at once. A namespace that floods has no
// more than its own limit, so others are told as long as fewer flood than share the limit of all.
#pragma once

#include <cstdint>

#include "engine/base/memory.h"
#include "engine/base/shares.h"
#include "swnat/packet.h"
#include "swnat/time.h"

namespace swnat::nfq {

// Not thread-safe. Allocates nothing after construction.
class AnswerRate {
 public:
  static constexpr Time window{1000};

  // `limits.each` for one namespace.
  explicit AnswerRate(const ShareLimits& limits);

  // Whether one more may be sent to the namespace now, and then it counts as sent.
  bool take(NamespaceId namespace_id, Time now);

 private:
  std::uint32_t size_;
  Shares recent_;
  // They are forgotten in the order in which they came, so the next one's place is free when there
  // is room.
  ReservedArray<Time::rep> sent_;
  Shares::Item next_ = 0;
};

}  // namespace swnat::nfq
