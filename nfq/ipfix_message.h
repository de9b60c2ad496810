// IPFIX messages (RFC 7011) with NAT events (RFC 8158), and the templates that say what is in them.
//
// Mappings are BIB events (natEvent 8 and 9), sessions session events (4 and 5), blocks port block
// events (16 and 17). For translation from IPv6 to IPv6 the standard has no events of its own:
// there it is "NAT translation create" and "delete" (1 and 2). The namespace is the ingressVRFID.
// Of a block the internal address is the unspecified one: it is of the whole namespace.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nfq/log_record.h"

namespace swnat::nfq {

// As many records as fit in one message, which begin with the first of those given.
struct IpfixMessage {
  std::string bytes;      // empty: none of them is one that IPFIX has
  std::size_t taken = 0;  // of those given, with those that IPFIX has none for
};

class IpfixEncoder {
 public:
  // RFC 7011, section 10.3.3: what every path takes.
  static constexpr std::size_t least_size = 512;

  explicit IpfixEncoder(bool destinations) : destinations_(destinations) {}

  // A transport session begins, and with it the sequence number.
  void begin() { sequence_ = 0; }

  // `time` is when the message is sent. `size` is the most bytes, at least `least_size`.
  std::string templates(WallTime time) const;
  IpfixMessage message(std::span<const LogRecord> records, WallTime time, std::size_t size);

 private:
  bool destinations_;
  std::uint32_t sequence_ = 0;  // data records of this session before the next message
};

}  // namespace swnat::nfq
