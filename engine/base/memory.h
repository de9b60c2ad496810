// Zeroed memory, reserved at once and touched only as it is used.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

namespace swnat {

// Compilers leave out calls of functions that do nothing but prefetch. This at their end hinders
// them; it costs too much in a packet's way.
inline void keep_prefetches() {
  asm volatile("");
}

// Makes the system provide the memory now, and not when it is first written. Changes nothing in it.
inline void populate(std::span<std::byte> memory) {
  constexpr std::size_t page = 4096;
  const auto touch = [](volatile std::byte& byte) { byte = byte; };
  for (std::size_t at = 0; at < memory.size(); at += page) touch(memory[at]);
  if (!memory.empty()) touch(memory.back());  // which may lie in a page of its own
}

// Random access to many small pages spends more time on finding the page than on the memory. But of
// an array that is written here and there, each huge one would be taken for little.
enum class Pages : std::uint8_t { huge, small };

inline constexpr std::size_t huge_page = std::size_t{2} << 20;

// What an array of huge pages comes to take that is written all over.
constexpr std::size_t whole_pages(std::size_t bytes) {
  return bytes < huge_page ? bytes : (bytes + huge_page - 1) / huge_page * huge_page;
}

// An array of trivial elements, all zero, aligned to cache lines. A large one costs no memory until
// it is written: it is taken as untouched pages from the kernel, and not from the C library, which
// clears what it had given away before. Throws std::bad_alloc.
template <class Element>
class ReservedArray {
  static_assert(std::is_trivially_destructible_v<Element>);

 public:
  explicit ReservedArray(std::size_t size, Pages pages = Pages::huge) : size_(size) {
    if (size > SIZE_MAX / 2 / sizeof(Element)) throw std::bad_alloc();
    const std::size_t bytes = size * sizeof(Element);
    const std::size_t alignment = bytes < huge_page ? cache_line : huge_page;
    block_ = reserve(bytes + alignment);
    const auto address = reinterpret_cast<std::uintptr_t>(block_.get());
    elements_ = reinterpret_cast<Element*>((address + alignment - 1) / alignment * alignment);
#ifdef MADV_HUGEPAGE
    // A wish; no is an answer.
    if (alignment == huge_page) {
      madvise(elements_, bytes, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    }
#endif
  }

  std::size_t size() const {
    return size_;
  }
  Element& operator[](std::size_t i) {
    assert(i < size_);
    return elements_[i];
  }
  const Element& operator[](std::size_t i) const {
    assert(i < size_);
    return elements_[i];
  }
  Element* data() {
    return elements_;
  }
  void populate() {
    swnat::populate({reinterpret_cast<std::byte*>(elements_), size_ * sizeof(Element)});
  }

 private:
  static constexpr std::size_t cache_line = 64;
  static constexpr std::size_t mapped_from = std::size_t{128} << 10;

  struct GiveBack {
    std::size_t mapped = 0;  // its size; 0: the C library's

    void operator()(std::uint8_t* block) const {
#ifdef MAP_ANONYMOUS
      if (mapped != 0) {
        munmap(block, mapped);
        return;
      }
#endif
      std::free(block);
    }
  };
  using Block = std::unique_ptr<std::uint8_t, GiveBack>;

  static Block reserve(std::size_t bytes) {
#ifdef MAP_ANONYMOUS
    if (bytes >= mapped_from) {
      void* const block =
          mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (block == MAP_FAILED) throw std::bad_alloc();
      return Block(static_cast<std::uint8_t*>(block), {bytes});
    }
#endif
    Block block(static_cast<std::uint8_t*>(std::calloc(1, bytes)));
    if (!block) throw std::bad_alloc();
    return block;
  }

  Block block_;
  Element* elements_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace swnat
