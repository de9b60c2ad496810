// Full checksums, beside the C library's memcpy of the same bytes.
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "engine/wire/checksum.h"
#include "tools/bench/rounds.h"
#include "tools/bench/rows.h"

namespace swnat::bench {
namespace {

// Where a transport header begins, as seen from an aligned frame.
constexpr std::size_t offset = 2;
constexpr std::size_t size_max = 65'536;

// Always the same place in a page: a copy's time depends on it.
struct alignas(4096) Buffer {
  std::array<std::uint8_t, offset + size_max> bytes{};
};

// Each measurement sums or copies about that many bytes.
constexpr std::size_t bytes_in_all = std::size_t{256} << 20;

template <class Once>
double time_of_each(std::size_t times, Once&& once) {
  for (std::size_t i = 0; i < times / 8; ++i) once();
  const auto start = Clock::now();
  for (std::size_t i = 0; i < times; ++i) once();
  return nanoseconds_since(start) / static_cast<double>(times);
}

Rows of_size(const Effort& effort, std::size_t size) {
  const auto from = std::make_unique<Buffer>();
  const auto to = std::make_unique<Buffer>();
  const std::uint8_t* source = from->bytes.data() + offset;
  std::uint8_t* destination = to->bytes.data() + offset;
  for (std::size_t i = 0; i < size; ++i) from->bytes[offset + i] = static_cast<std::uint8_t>(i * 7);
  // Not known to the compiler, which would otherwise write a copy of its own.
  volatile std::size_t hidden_size = size;
  const std::size_t times = bytes_in_all / size;

  const auto copy = [&] {
    std::memcpy(destination, source, hidden_size);
    keep(*destination);
  };
  const auto sum = [&] { keep(sum_of({source, hidden_size})); };
  const Row row{.name = "checksum/" + std::to_string(size), .against = "memcpy"};
  return in_rounds(effort, [&] { return time_of_each(times, copy); },
                   {{row, [&] { return time_of_each(times, sum); }}});
}

}  // namespace

Rows sums(const Effort& effort) {
  Rows rows;
  for (const std::size_t size : {std::size_t{1500}, size_max}) {
    for (Row& row : of_size(effort, size)) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace swnat::bench
