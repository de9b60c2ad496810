// FNV-1a, which tells apart what nobody has made to look alike, and is the same in every build.
#pragma once

#include <cstdint>
#include <string_view>

namespace swnat::rules {

class Digest {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) {
      value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf2'9ce4'8422'2325;
};

}  // namespace swnat::rules
