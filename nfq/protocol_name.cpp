#include "nfq/protocol_name.h"

#include <netinet/in.h>

namespace swnat::nfq {

bool has_ports(std::uint8_t number) {
  return number == IPPROTO_TCP || number == IPPROTO_UDP;
}

bool has_ports_or_ids(std::uint8_t number) {
  return has_ports(number) || number == IPPROTO_ICMP || number == IPPROTO_ICMPV6;
}

}  // namespace swnat::nfq
