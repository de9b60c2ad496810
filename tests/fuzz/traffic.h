// Packets for the whole engine: a small grammar of what hosts, routers and attackers send, driven
// by the fuzzer's bytes.
#pragma once

#include <deque>

#include "tests/fuzz/build.h"
#include "tests/fuzz/given.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/listing.h"

namespace swnat::fuzz {

class Traffic {
 public:
  explicit Traffic(Input& input) : input_(input) {}

  // Some packet; `listing` says which sessions there are to aim at.
  Given next(const Listing& listing);

  // What came of it, so that later packets may quote it, repeat it or answer it.
  void saw(const Given& given, const Packet& packet);

 private:
  // A packet that the engine accepted, as it left.
  struct Sent {
    Bytes bytes;
    bool is_outside = false;       // else it was delivered to
    NamespaceId namespace_id = 0;  // this one
  };

  Given new_outbound();
  Given of_session(const Listing& listing, Direction direction);
  Given hairpin(const Listing& listing);
  Given error();
  Given again();
  Given raw();
  // What a host that speaks `protocol` sends.
  Bytes transport(std::uint8_t protocol, std::uint16_t from, std::uint16_t to, bool is_answer);
  Bytes datagram(std::uint8_t protocol, const IpEndpoint& from, const IpEndpoint& to,
                 bool is_answer);
  void spoil(Given& given);
  void cut(Given& given);

  Input& input_;
  std::deque<Sent> sent_;
  std::deque<Given> pieces_;  // of fragmented datagrams, not yet given
};

}  // namespace swnat::fuzz
