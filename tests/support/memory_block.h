// Memory for session records that outlives an engine.
#pragma once

#include <cstring>
#include <vector>

#include "tests/support/gateway.h"

namespace swnat::test {

// Session memory as a mapped file would be: aligned, zero, and there when an engine is gone.
class Memory {
 public:
  explicit Memory(const EngineOptions& options, const Policy& policy = roomy_policy())
      : lines_(size_in_lines(options, policy)) {}

  std::span<std::byte> bytes() { return std::as_writable_bytes(std::span(lines_)); }
  EngineOptions given_to(EngineOptions options, Time now = Gateway::start) {
    options.session_memory = bytes();
    options.now = now;
    return options;
  }
  bool same_as(const Memory& other) const {
    return std::memcmp(lines_.data(), other.lines_.data(), lines_.size() * sizeof(Line)) == 0;
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  static std::size_t size_in_lines(const EngineOptions& options, const Policy& policy) {
    return (Engine::session_memory_size(options, policy) + sizeof(Line) - 1) / sizeof(Line);
  }

  std::vector<Line> lines_;
};

}  // namespace swnat::test
