// What namespaces send and receive a second, by two looks at what they have sent and received.
#pragma once

#include <chrono>
#include <cstdint>
#include <unordered_map>

#include "tools/swnatctl_json.h"

namespace swnat::ctl {

class Rates {
 public:
  using Clock = std::chrono::steady_clock;

  // Of the first look: what is listed of a namespace.
  void note(const Json& item);
  // Of the second, so much later: with "rates" added. One that is new has sent nothing before.
  void add_to(Json& item, std::chrono::duration<double> later) const;

 private:
  struct Counts {
    std::uint64_t counts[2][2] = {};  // outbound and inbound, packets and bytes
  };
  static Counts counts_of(const Json& item);

  std::unordered_map<std::uint32_t, Counts> before_;  // by fwmark
};

}  // namespace swnat::ctl
