// Whether a verdict is one that the listed sessions and the policy account for.
#pragma once

#include "tests/fuzz/given.h"
#include "tests/fuzz/listing.h"

namespace swnat::fuzz {

// A session that the packet belongs to is in the listing before it or after it, or in both. Later
// fragments are FragmentBook's.
class Witness {
 public:
  Witness(const Policy& policy, const Listing& earlier, const Listing& later)
      : policy_(policy), earlier_(earlier), later_(later) {}

  // Ends the process if nothing accounts for the verdict. `packet` is what the engine gave back.
  void check(const Given& given, const Packet& packet) const;

 private:
  struct Sides;

  void check_sent(const Sides& sides) const;
  void check_delivered(const Sides& sides) const;
  void check_hairpin(const Sides& sides) const;
  void check_hairpinned_error(const Sides& sides) const;
  void check_sent_error(const Sides& sides) const;
  void check_delivered_error(const Sides& sides) const;
  bool redirects(NamespaceId id, std::uint8_t protocol, const IpEndpoint& from,
                 const IpEndpoint& to) const;
  template <class Wanted>
  bool any(Wanted wanted) const;

  const Policy& policy_;
  const Listing& earlier_;
  const Listing& later_;
};

}  // namespace swnat::fuzz
