// Reading and writing integers in packets, at any alignment.
#pragma once

#include <cstdint>
#include <cstring>

namespace swnat {

// As the bytes lie in memory: wire order.
template <class Word>
inline Word load_wire(const std::uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

template <class Word>
inline void store_wire(std::uint8_t* at, Word word) {
  std::memcpy(at, &word, sizeof word);
}

inline std::uint16_t load_be16(const std::uint8_t* at) {
  return __builtin_bswap16(load_wire<std::uint16_t>(at));
}
inline std::uint32_t load_be32(const std::uint8_t* at) {
  return __builtin_bswap32(load_wire<std::uint32_t>(at));
}
inline void store_be16(std::uint8_t* at, std::uint16_t value) {
  store_wire(at, __builtin_bswap16(value));
}

}  // namespace swnat
