#include "engine/wire/checksum.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>

#include "tests/support/dice.h"
#include "tests/support/packets.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// Sums are of words as they lie in memory, the naive one is of big-endian words.
std::uint16_t swapped(std::uint16_t word) {
  return static_cast<std::uint16_t>(word << 8 | word >> 8);
}

constexpr std::size_t alignments = 64;
constexpr std::size_t size_max = 65'536;

void check_sums(const Bytes& block, std::size_t alignment, std::size_t size) {
  const View bytes = View(block).subspan(alignment, size);
  const std::uint16_t wanted = naive_sum(bytes);
  for (const SumVersion& version : sum_versions()) {
    const std::uint16_t sum = swapped(fold(version.sum_of(bytes)));
    if (sum == wanted) continue;
    CAPTURE(std::string(version.name));
    CAPTURE(alignment);
    CAPTURE(size);
    CHECK_EQ(sum, wanted);
  }
}

// Around every border between vectors, and the greatest.
void check_sums_of_many_sizes(const Bytes& block) {
  for (std::size_t alignment = 0; alignment < alignments; ++alignment) {
    for (std::size_t size = 0; size <= 300; ++size) check_sums(block, alignment, size);
    for (std::size_t size = 1408; size <= 1536; ++size) check_sums(block, alignment, size);
    check_sums(block, alignment, 9000);
  }
  for (const std::size_t alignment : {0U, 1U, 2U, 15U, 31U, 33U, 63U}) {
    for (std::size_t less = 0; less <= 66; ++less) check_sums(block, alignment, size_max - less);
  }
}

std::vector<std::uint16_t> corner_words(std::uint32_t seed) {
  std::vector<std::uint16_t> words{0x0000, 0xffff, 0x0001, 0xfffe, 0x8000, 0x7fff, 0x00ff, 0xff00};
  Dice random(seed);
  for (int i = 0; i < 8; ++i) words.push_back(random.word());
  return words;
}

std::uint16_t checksum_of(std::uint16_t a, std::uint16_t b) {
  return static_cast<std::uint16_t>(~fold(std::uint64_t{a} + b));
}

// Equal as one's-complement numbers, which have two zeros.
bool same_number(std::uint16_t a, std::uint16_t b) {
  return a == b || (a == 0 && b == 0xffff) || (a == 0xffff && b == 0);
}

}  // namespace

TEST_CASE("checksum: every version agrees with a naive sum at every alignment and length") {
  check_sums_of_many_sizes(payload_of(alignments + size_max, 7));
}

TEST_CASE("checksum: carries are kept when every word is the greatest") {
  check_sums_of_many_sizes(Bytes(alignments + size_max, 0xff));
}

TEST_CASE("checksum: nothing and zeros sum to zero") {
  check_sums_of_many_sizes(Bytes(alignments + size_max, 0));
  CHECK_EQ(fold(sum_of({})), 0);
}

// Blocks of just that size, so that the address sanitizer sees what is read outside.
TEST_CASE("checksum: nothing outside the bytes is read") {
  for (std::size_t size = 0; size <= 300; ++size) check_sums(payload_of(size, 13), 0, size);
}

TEST_CASE("checksum: bytes before and behind do not count") {
  Bytes block(alignments + 600, 0xff);
  for (std::size_t size = 0; size <= 300; ++size) {
    std::fill(block.begin(), block.end(), std::uint8_t{0xff});
    std::fill_n(block.begin() + 101, size, std::uint8_t{0});
    check_sums(block, 101, size);
  }
}

TEST_CASE("checksum: sum_of agrees with its versions") {
  const Bytes block = payload_of(1500, 9);
  CHECK_EQ(swapped(fold(sum_of(block))), naive_sum(block));
}

TEST_CASE("checksum: sums of even pieces add up to the sum of the whole") {
  const Bytes block = payload_of(1501, 3);
  for (std::size_t cut = 0; cut <= block.size(); cut += 2) {
    const std::uint64_t first = sum_of(View(block).first(cut));
    const std::uint64_t second = sum_of(View(block).subspan(cut));
    if (swapped(fold(first + second)) == naive_sum(block)) continue;
    CAPTURE(cut);
    CHECK_EQ(swapped(fold(first + second)), naive_sum(block));
  }
}

TEST_CASE("checksum: fold keeps the one's-complement number of any sum") {
  std::mt19937_64 random(11);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t sum = random() >> (i % 64);
    const std::uint16_t folded = fold(sum);
    if (folded % 0xffff == sum % 0xffff && (folded != 0 || sum == 0)) continue;
    CAPTURE(sum);
    CHECK_EQ(folded % 0xffff, sum % 0xffff);
    CHECK((folded != 0 || sum == 0));
  }
  CHECK_EQ(fold(0xffff'ffff'ffff'ffff), 0xffff);
  CHECK_EQ(fold(0x1'0000), 1);
}

TEST_CASE("checksum: an updated field is the recomputed one, in every corner") {
  for (const std::uint16_t kept : corner_words(1)) {
    for (const std::uint16_t before : corner_words(2)) {
      for (const std::uint16_t after : corner_words(3)) {
        // A sum of nothing but zeros is no packet's, and has another zero.
        if ((kept | before) == 0 || (kept | after) == 0) continue;
        CAPTURE(kept);
        CAPTURE(before);
        CAPTURE(after);
        const std::uint16_t field = updated(checksum_of(kept, before), delta_of(before, after));
        CHECK_EQ(field, checksum_of(kept, after));
      }
    }
  }
}

TEST_CASE("checksum: an update agrees with recomputation for random words") {
  std::mt19937_64 random(5);
  for (int i = 0; i < 200'000; ++i) {
    // Several words at once: addresses and ports, unfolded.
    const std::uint64_t kept = 1 + (random() >> 40);
    const std::uint64_t before = random() >> 24;
    const std::uint64_t after = random() >> 24;
    const auto was = static_cast<std::uint16_t>(~fold(kept + before));
    const auto wanted = static_cast<std::uint16_t>(~fold(kept + after));
    if (updated(was, delta_of(before, after)) == wanted) continue;
    CAPTURE(kept);
    CAPTURE(before);
    CAPTURE(after);
    CHECK_EQ(updated(was, delta_of(before, after)), wanted);
  }
}

TEST_CASE("checksum: a damaged field stays damaged by the same amount") {
  for (const std::uint16_t kept : corner_words(4)) {
    for (const std::uint16_t damage : corner_words(5)) {
      for (const std::uint16_t after : corner_words(6)) {
        constexpr std::uint16_t before = 0x1234;
        const std::uint16_t right = checksum_of(kept, before);
        const std::uint16_t damaged = fold(std::uint64_t{right} + damage);
        const std::uint16_t field = updated(damaged, delta_of(before, after));
        const std::uint16_t wanted = fold(std::uint64_t{checksum_of(kept, after)} + damage);
        CAPTURE(kept);
        CAPTURE(damage);
        CAPTURE(after);
        CHECK(same_number(field, wanted));
      }
    }
  }
}

TEST_CASE("checksum: the inverted delta is the way back") {
  for (const std::uint16_t field : corner_words(7)) {
    for (const std::uint16_t before : corner_words(8)) {
      for (const std::uint16_t after : corner_words(9)) {
        const ChecksumDelta delta = delta_of(before, after);
        const std::uint16_t there = updated(field, delta);
        const std::uint16_t back = updated(there, static_cast<ChecksumDelta>(~delta));
        CAPTURE(field);
        CAPTURE(before);
        CAPTURE(after);
        CHECK(same_number(back, field));
      }
    }
  }
}
