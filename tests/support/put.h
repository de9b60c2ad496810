// Appending to packets that are being built, in wire order.
#pragma once

#include <cstdint>

#include "tests/support/packets.h"

namespace swnat::test {

inline void put8(Bytes& bytes, std::uint32_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value));
}
inline void put16(Bytes& bytes, std::uint32_t value) {
  put8(bytes, value >> 8);
  put8(bytes, value);
}
inline void put32(Bytes& bytes, std::uint32_t value) {
  put16(bytes, value >> 16);
  put16(bytes, value);
}
inline void append(Bytes& bytes, const Bytes& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}
inline Bytes whole_words(Bytes options) {
  while (options.size() % 4 != 0) options.push_back(0);
  return options;
}

}  // namespace swnat::test
