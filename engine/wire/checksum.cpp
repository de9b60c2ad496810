#include "engine/wire/checksum.h"

#include "engine/base/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#endif

namespace swnat {
namespace {

// 32-bit words into 64-bit sums: no carry is lost below 2^32 words, and the compiler vectorises it.
std::uint64_t portable_sum_of(std::span<const std::uint8_t> bytes) {
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

#if defined(__x86_64__)

// One binary serves every x86-64 machine: what is marked so is compiled for more than the least.
#define SWNAT_AVX2 [[gnu::target("avx2")]]
#define SWNAT_AVX512 [[gnu::target("avx512bw")]]

// The vector units widen 16-bit words and add neighbours in one step, but only signed ones. A word
// w whose highest bit is flipped is w - 2^15 as a signed number, so these are summed, and 2^15 for
// each is added back at the end. 64 KiB are 2^15 words: even the sum of all lanes, 2^30 at most
// either way, fits into one signed 32-bit lane.
constexpr std::int32_t bias = 0x8000;

// Zero words that a vector was filled up with count among `words`.
std::uint64_t without_bias(std::int32_t biased, std::size_t words) {
  return static_cast<std::uint64_t>(biased + bias * static_cast<std::int64_t>(words));
}

SWNAT_AVX2 inline __m256i load(const std::uint8_t* at) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i_u*>(at));
}

SWNAT_AVX2 inline __m256i biased_pairs(__m256i words) {
  const __m256i biased = _mm256_xor_si256(words, _mm256_set1_epi16(-bias));
  return _mm256_madd_epi16(biased, _mm256_set1_epi16(1));
}

SWNAT_AVX512 inline __m512i biased_pairs(__m512i words) {
  const __m512i biased = _mm512_xor_si512(words, _mm512_set1_epi16(-bias));
  return _mm512_madd_epi16(biased, _mm512_set1_epi16(1));
}

SWNAT_AVX2 inline __m256i two_vectors(const std::uint8_t* at) {
  return _mm256_add_epi32(biased_pairs(load(at)), biased_pairs(load(at + 32)));
}

SWNAT_AVX2 inline std::int32_t sum_of_lanes(__m256i lanes) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
  return _mm_cvtsi128_si32(sum) + _mm_extract_epi32(sum, 1);
}

// Ones after zeros: loaded from place n, a mask for the last n bytes of a vector.
constexpr auto last_bytes = [] {
  std::array<std::uint8_t, 64> bytes{};
  for (std::size_t i = 32; i < bytes.size(); ++i) bytes[i] = 0xff;
  return bytes;
}();

SWNAT_AVX2 std::uint64_t avx2_sum_of(std::span<const std::uint8_t> bytes) {
  const std::uint8_t* const data = bytes.data();
  const std::size_t size = bytes.size() & ~std::size_t{1};
  if (size < 32) return portable_sum_of(bytes);

  // Two sums of pairs of vectors: a sum alone would wait for its own last addition.
  __m256i a = _mm256_setzero_si256();
  __m256i b = _mm256_setzero_si256();
  std::size_t at = 0;
  for (; at + 128 <= size; at += 128) {
    a = _mm256_add_epi32(a, two_vectors(data + at));
    b = _mm256_add_epi32(b, two_vectors(data + at + 64));
  }
  if ((size & 64) != 0) {
    a = _mm256_add_epi32(a, two_vectors(data + at));
    at += 64;
  }
  if ((size & 32) != 0) b = _mm256_add_epi32(b, biased_pairs(load(data + at)));
  // The last vector reaches back into what was summed, and that part of it is masked.
  const __m256i last = _mm256_and_si256(load(data + size - 32), load(&last_bytes[size % 32]));
  a = _mm256_add_epi32(a, biased_pairs(last));

  std::uint64_t sum = without_bias(sum_of_lanes(_mm256_add_epi32(a, b)), (size / 32 + 1) * 16);
  if (size != bytes.size()) sum += bytes.back();
  return sum;
}

SWNAT_AVX512 inline __m512i vector_at(const std::uint8_t* at) {
  return biased_pairs(_mm512_loadu_si512(at));
}

// Of less than a vector; what is masked is not read.
SWNAT_AVX512 inline __m512i part_at(const std::uint8_t* at, std::size_t size) {
  return biased_pairs(_mm512_maskz_loadu_epi8((std::uint64_t{1} << size) - 1, at));
}

SWNAT_AVX512 std::uint64_t avx512_sum_of(std::span<const std::uint8_t> bytes) {
  const std::uint8_t* at = bytes.data();
  std::size_t size = bytes.size();

  // Up to a cache line's beginning, because a vector across two lines is loaded twice. From an odd
  // address that cannot be reached in whole words: every vector then crosses a line.
  const std::size_t head = size < 64 ? 0 : (-reinterpret_cast<std::uintptr_t>(at)) % 64 & ~1U;
  __m512i a = part_at(at, head);
  __m512i b = _mm512_setzero_si512();
  at += head;
  size -= head;
  const std::size_t vectors = 1 + size / 64 + 1;
  for (; size >= 128; size -= 128, at += 128) {
    a = _mm512_add_epi32(a, vector_at(at));
    b = _mm512_add_epi32(b, vector_at(at + 64));
  }
  if (size >= 64) {
    a = _mm512_add_epi32(a, vector_at(at));
    size -= 64;
    at += 64;
  }
  b = _mm512_add_epi32(b, part_at(at, size));

  const __m512i lanes = _mm512_add_epi32(a, b);
  // Masked, though with ones only: GCC 12 warns of its own header where they are not.
  const __m256i low = _mm512_maskz_extracti64x4_epi64(0xff, lanes, 0);
  const __m256i high = _mm512_maskz_extracti64x4_epi64(0xff, lanes, 1);
  return without_bias(sum_of_lanes(_mm256_add_epi32(low, high)), vectors * 32);
}

bool has_avx2() {
  return __builtin_cpu_supports("avx2");
}

// VBMI2 is not used: processors that have AVX-512 without it lower their clock for wide vectors.
bool has_fast_avx512() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi2");
}

#endif

}  // namespace

std::uint64_t sum_of(std::span<const std::uint8_t> bytes) {
#if defined(__x86_64__)
  if (has_fast_avx512()) return avx512_sum_of(bytes);
  if (has_avx2()) return avx2_sum_of(bytes);
#endif
  return portable_sum_of(bytes);
}

std::vector<SumVersion> sum_versions() {
  std::vector<SumVersion> versions{{"portable", portable_sum_of}};
#if defined(__x86_64__)
  if (has_avx2()) versions.push_back({"AVX2", avx2_sum_of});
  if (__builtin_cpu_supports("avx512bw")) versions.push_back({"AVX-512", avx512_sum_of});
#endif
  return versions;
}

}  // namespace swnat
