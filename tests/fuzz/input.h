// The fuzzer's bytes as a sequence of choices. At its end all choices are 0.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace swnat::fuzz {

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  bool is_over() const { return rest_.empty(); }
  std::size_t size() const { return rest_.size(); }

  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const std::uint8_t first = rest_.front();
    rest_ = rest_.subspan(1);
    return first;
  }
  std::uint16_t word() {
    const std::uint8_t high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }
  std::uint32_t double_word() {
    const std::uint32_t high = word();
    return high << 16 | word();
  }

  // `end` is 1 to 256.
  std::uint32_t below(std::size_t end) { return static_cast<std::uint32_t>(byte() % end); }
  // True for few values, and never at the end.
  bool one_in(std::uint32_t times) { return byte() % times == times - 1; }

  template <class Items>
  auto& one_of(Items& items) {
    return items[below(std::size(items))];
  }

  // As many as are left, at most `count`.
  std::vector<std::uint8_t> bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return {taken.begin(), taken.end()};
  }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace swnat::fuzz
