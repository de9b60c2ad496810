// What became of each datagram's first fragment, kept without bounds, and what must therefore
// become of the others.
#pragma once

#include <map>
#include <set>
#include <tuple>

#include "swnat/engine.h"
#include "tests/fuzz/given.h"

namespace swnat::fuzz {

class FragmentBook {
 public:
  // `packet` is what the engine gave back, at `now`. Ends the process if a
  // fragment does not share its datagram's fate, or an identification that the NAT gave comes
  // twice. Holds as long as fewer datagrams are alive than the engine has room for.
  void check(const Given& given, const Packet& packet, Time now);

 private:
  // IPv4: the protocol too. Addresses as numbers, to be sorted by.
  using Datagram = std::tuple<NamespaceId, Bytes, std::uint32_t, std::uint8_t>;
  struct Fate {
    Reason reason;
    Bytes addresses;
    std::uint32_t identification;
    NamespaceId receiver;
    std::uint32_t headers_end;  // as an offset of fragments
    Time last_asked;
  };

  void check_later(const Datagram& datagram, View after, const Packet& packet, Time now);
  void check_identification(const Datagram& datagram, View after, bool is_fragment);

  std::map<Datagram, Fate> fates_;
  // Addresses, protocol and identification, and who has it; those of whole packets nobody else may
  // have.
  std::map<std::tuple<Bytes, std::uint8_t, std::uint32_t>, Datagram> given_out_;
};

}  // namespace swnat::fuzz
