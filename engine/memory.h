// Zeroed memory, reserved at once and touched only as it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

namespace swnat {

// An array of trivial elements, all zero, aligned to cache lines. A large one costs no memory until
// it is written, because the C library takes it as untouched pages from the kernel.
template <class Element>
class ReservedArray {
  static_assert(std::is_trivially_destructible_v<Element>);

 public:
  explicit ReservedArray(std::size_t size) : size_(size) {
    constexpr std::size_t line = 64;
    block_.reset(static_cast<std::uint8_t*>(std::calloc(1, size * sizeof(Element) + line)));
    if (!block_) throw std::bad_alloc();
    const auto address = reinterpret_cast<std::uintptr_t>(block_.get());
    elements_ = reinterpret_cast<Element*>((address + line - 1) / line * line);
  }

  std::size_t size() const { return size_; }
  Element& operator[](std::size_t i) { return elements_[i]; }
  const Element& operator[](std::size_t i) const { return elements_[i]; }
  Element* data() { return elements_; }

 private:
  struct Free {
    void operator()(std::uint8_t* block) const { std::free(block); }
  };
  std::unique_ptr<std::uint8_t, Free> block_;
  Element* elements_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace swnat
