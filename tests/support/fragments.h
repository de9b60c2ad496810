// Cutting packets into fragments and joining them again, as hosts do.
#pragma once

#include "tests/support/packets6.h"

namespace swnat::test {

// The packet in pieces that carry `size` bytes each, a multiple of 8. IPv4: its identification is
// kept, "don't fragment" is cleared. IPv6: with a fragment header in front of the transport.
std::vector<Bytes> fragments_of(const Bytes& packet, std::size_t size,
                                std::uint32_t identification = 0x1234);
// The same, of what begins `headers` bytes into the packet: in IPv6, extension headers may be part
// of what is cut.
std::vector<Bytes> fragments_behind(const Bytes& packet, std::size_t headers, std::size_t size,
                                    std::uint32_t identification = 0x1234);

// The whole packet, if these are its pieces in any order: the same addresses, protocol and
// identification in all, with no gap and no overlap. Else nothing at all.
Bytes joined(std::vector<Bytes> pieces);

std::uint32_t identification_of(View packet);  // IPv6: of its fragment header, else 0
std::size_t fragment_offset_of(View packet);   // bytes
bool has_more_fragments(View packet);

}  // namespace swnat::test
