// What a TCP header says, as far as the NAT follows it.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"
#include "engine/wire/headers.h"

namespace swnat {

struct TcpSegment {
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint32_t payload_size = 0;  // bytes
  std::uint16_t window = 0;
  std::uint8_t flags = 0;
  std::uint8_t scale = no_tcp_scale;  // from the window scale option of a SYN
};

// `segment` is at least a whole TCP header, options included, with `size` bytes up to the payload's
// end.
TcpSegment read_tcp_segment(const std::uint8_t* segment, std::uint16_t size);

// The fixed part of the header alone, inline for the batch's loop.
inline TcpSegment read_tcp_header(const std::uint8_t* header) {
  TcpSegment read;
  read.sequence = load_be32(header + 4);
  read.acknowledgment = load_be32(header + 8);
  read.window = load_be16(header + 14);
  read.flags = header[13];
  return read;
}

}  // namespace swnat
