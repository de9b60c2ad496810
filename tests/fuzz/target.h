// What every fuzz target is made of: a function of bytes, which must never fail, and what it does
// when something is not as promised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

// libFuzzer's, and corpus_main.cpp's: called with one input after the other.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace swnat::fuzz {

// Ends the process if it does not hold, so that the fuzzer keeps the input.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// An engine reserves far more memory than such trials touch. Without this the C library would, from
// the second engine on, hand out memory that was used before, and clear all of it first.
inline void use_fresh_memory() {
#ifdef __GLIBC__
  static const bool is_done =
      mallopt(M_MMAP_THRESHOLD, 32 << 10) != 0 && mallopt(M_TRIM_THRESHOLD, 64 << 20) != 0;
  static_cast<void>(is_done);
#endif
}

}  // namespace swnat::fuzz
