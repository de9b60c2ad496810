// The raw sockets that ICMP answers leave by, one for each family.
//
// Theory of operation
//
// An answer must reach one tenant of several with the same address. A socket's fwmark (SO_MARK)
// takes part in routing like that of a packet that is forwarded, so the answer takes the way that
// packets to the tenant take. The fwmark is the socket's and not of a single message: kernels
// before 5.5 ignore the latter for raw sockets, and would send to another tenant.
//
// The kernel chooses the source address. It takes the gateway's own on the tenant's link (RFC 1812
// section 4.3.2.4), from which its own errors come too, so that a tenant sees one gateway; an
// external address may be a host's of the tenant's own. For IPv4 the kernel fills a source of zero
// into the packet. For IPv6 it does not, so there it writes the IP header and the checksum itself.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "nfq/file_descriptor.h"
#include "nfq/icmp_answers.h"

namespace swnat::nfq {

class AnswerSockets final : public AnswerSink {
 public:
  // A family whose socket cannot be opened has no answers. They need CAP_NET_RAW to be opened, and
  // CAP_NET_ADMIN afterwards.
  AnswerSockets();

  // Never waits.
  bool send(std::span<const std::uint8_t> answer, std::uint32_t fwmark) override;

  // Why IPv4 has no answers, if it has none.
  const std::string& fault() const { return fault_; }

 private:
  struct Socket {
    FileDescriptor fd;
    std::optional<std::uint32_t> fwmark = {};  // as it is set
  };

  static bool set_fwmark(Socket& socket, std::uint32_t fwmark);

  Socket v4_;
  Socket v6_;
  std::string fault_;
};

}  // namespace swnat::nfq
