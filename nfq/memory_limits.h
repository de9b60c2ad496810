// How much memory the system lets this process have.
//
// What runs out later ends the daemon under load, by the kernel's OOM killer, or makes a start fail
// without a word about the reason. So it is looked at before: the control groups that the process
// is in, all the way up, of either version, what the machine has left, and the limit of its address
// space. Swap does not count: a packet that waits for a disk is as good as lost.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace swnat::nfq {

struct MemoryLimit {
  std::string what;         // for people
  std::uint64_t left = 0;   // bytes that this process may still take
  std::uint64_t limit = 0;  // of which that is what is left
};

// Of memory that is used. What the kernel can take back at once, such as files that it keeps in
// memory, counts as left. What cannot be read sets no limit. Tests give another root of the file
// system.
std::vector<MemoryLimit> memory_limits(const std::filesystem::path& root = "/");

// Of memory that is reserved, used or not (RLIMIT_AS, RLIMIT_DATA).
std::vector<MemoryLimit> reservation_limits(const std::filesystem::path& root = "/");

// "61.3 MiB"
std::string size_text(std::uint64_t bytes);

struct MemoryNeed {
  std::uint64_t used = 0;      // at most
  std::uint64_t reserved = 0;  // with what is never used
  std::string purpose;         // "nat.max_sessions = 262144"
};

// What is wrong, with the tightest limit, in a line; empty if all limits leave enough.
std::string memory_fault(const MemoryNeed& need, const std::vector<MemoryLimit>& used,
                         const std::vector<MemoryLimit>& reserved);

}  // namespace swnat::nfq
