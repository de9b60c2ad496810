#include "engine/checksum.h"

#include "engine/bytes.h"

// One binary serves every x86-64 machine: the loop is compiled for AVX2 as well and chosen at
// start. Sanitized builds leave it out, because the choice runs before the sanitizer's own start.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SWNAT_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SWNAT_SANITIZED 1
#endif
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(SWNAT_SANITIZED)
#define SWNAT_FOR_EVERY_X86 __attribute__((target_clones("avx2", "default")))
#else
#define SWNAT_FOR_EVERY_X86
#endif

namespace swnat {

// 32-bit words into 64-bit sums: no carry is lost below 2^32 words, and the compiler vectorises it.
SWNAT_FOR_EVERY_X86
std::uint64_t sum_of(std::span<const std::uint8_t> bytes) {
  const std::uint8_t* at = bytes.data();
  const std::size_t words = bytes.size() / 4;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < words; ++i) sum += load_wire<std::uint32_t>(at + i * 4);
  at += words * 4;
  if ((bytes.size() & 2) != 0) {
    sum += load_wire<std::uint16_t>(at);
    at += 2;
  }
  if ((bytes.size() & 1) != 0) sum += *at;  // the low byte of a word on a little-endian machine
  return sum;
}

}  // namespace swnat
