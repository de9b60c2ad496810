// Random numbers that are the same in every run.
#pragma once

#include <cstdint>
#include <random>

namespace swnat::test {

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : random_(seed) {}

  std::uint32_t operator()() { return static_cast<std::uint32_t>(random_()); }
  std::uint32_t below(std::uint32_t end) { return (*this)() % end; }
  std::uint16_t word() { return static_cast<std::uint16_t>(random_()); }
  bool one_in(std::uint32_t times) { return below(times) == 0; }

 private:
  std::mt19937 random_;
};

}  // namespace swnat::test
