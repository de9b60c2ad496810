#include "engine/wire/tcp_segment.h"

#include <algorithm>

namespace swnat {
namespace {

constexpr std::uint8_t option_end = 0;
constexpr std::uint8_t option_no_operation = 1;
constexpr std::uint8_t option_window_scale = 3;

std::uint8_t read_window_scale(const std::uint8_t* at, const std::uint8_t* end) {
  while (at < end && *at != option_end) {
    if (*at == option_no_operation) {
      ++at;
      continue;
    }
    if (end - at < 2 || at[1] < 2 || end - at < at[1]) break;
    if (at[0] == option_window_scale && at[1] == 3) return std::min(at[2], tcp_scale_max);
    at += at[1];
  }
  return no_tcp_scale;
}

}  // namespace

TcpSegment read_tcp_segment(const std::uint8_t* segment, std::uint16_t size) {
  const std::size_t header_size = std::size_t{segment[12]} >> 4 << 2;
  TcpSegment read = read_tcp_header(segment);
  read.payload_size = static_cast<std::uint32_t>(size - header_size);
  if ((read.flags & tcp_flag::syn) != 0) {
    read.scale = read_window_scale(segment + tcp_header_min, segment + header_size);
  }
  return read;
}

}  // namespace swnat
