// Packets that do not come from outside and may not go there (RFC 4787 REQ-9): from a namespace or
// the gateway, to an external address or as one of its sessions' remotes.
#pragma once

#include <atomic>
#include <optional>

#include "engine/passage.h"
#include "engine/shards.h"

namespace swnat {

// Any thread. A hairpin is two steps, out and in again, each with a shard's lock of its own.
template <class Family>
class Hairpin {
 public:
  // Both must outlive this.
  Hairpin(const Shards<Family>& shards, Passage<Family>& passage, bool is_allowed)
      : shards_(shards), passage_(passage), is_allowed_(is_allowed) {}

  // Whether one namespace may reach another by its external endpoints (Policy::hairpin).
  void allow(bool is_allowed) { is_allowed_.store(is_allowed, std::memory_order_relaxed); }

  Reason translate(const Parsed<Family>& parsed, Packet& packet, Tick now);

  // What is decided about a packet to an external address before its first half, and about what it
  // became before its second; nothing if it goes on. The first also tells whether it is to turn
  // back to a namespace, and not for the gateway itself. Only a look has `meets_over`
  // (Sessions::Look).
  std::optional<Reason> before_sending(const Parsed<Family>& parsed, const Packet& packet,
                                       bool& turns_back, bool* meets_over, Tick now);
  std::optional<Reason> before_receiving(const Parsed<Family>& translated, bool* meets_over,
                                         Tick now);

 private:
  Reason translate_error(const Parsed<Family>& parsed, Packet& error, Tick now);
  Reason to_external(const Parsed<Family>& parsed, Packet& packet, Tick now);
  Reason send(const Parsed<Family>& parsed, Packet& packet, bool is_for_gateway, Tick now);
  Reason receive(Packet& packet, Tick now);
  bool has_owner(const Parsed<Family>& parsed, bool* meets_over, Tick now);

  const Shards<Family>& shards_;
  Passage<Family>& passage_;
  std::atomic<bool> is_allowed_;
};

extern template class Hairpin<Ipv4>;
extern template class Hairpin<Ipv6>;

}  // namespace swnat
