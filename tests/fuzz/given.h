// A packet as it is given to the engine.
#pragma once

#include "swnat/packet.h"
#include "tests/fuzz/anatomy.h"

namespace swnat::fuzz {

struct Given {
  Bytes bytes = {};
  Direction direction = Direction::outbound;
  NamespaceId namespace_id = 0;
  ChecksumState checksum = ChecksumState::complete;

  // For the engine to work on, in a copy of the bytes.
  Packet packet(Bytes& copy) const {
    copy.assign(bytes.begin(), bytes.end());
    copy.shrink_to_fit();  // so that sanitizers see what is read beyond
    return {
        .bytes = copy, .namespace_id = namespace_id, .direction = direction, .checksum = checksum};
  }
  // Whose side it comes from; 0 is the outside.
  NamespaceId sender() const { return direction == Direction::inbound ? 0 : namespace_id; }
};

}  // namespace swnat::fuzz
