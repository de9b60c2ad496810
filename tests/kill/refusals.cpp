#include "tests/kill/refusals.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

#include "engine/session/session_memory.h"
#include "tests/kill/dialogue.h"

namespace swnat::test {
namespace {

// A file in memory, mapped as the daemon maps its own.
class File {
 public:
  explicit File(std::span<const std::byte> content) : size_(content.size()) {
    const int file = ::memfd_create("session-memory", MFD_CLOEXEC);
    if (file < 0 || ::ftruncate(file, static_cast<off_t>(size_)) != 0) {
      throw std::runtime_error("no file in memory");
    }
    void* const mapped = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (mapped == MAP_FAILED) throw std::runtime_error("no mapping of a file in memory");
    begin_ = static_cast<std::byte*>(mapped);
    std::memcpy(begin_, content.data(), size_);
  }
  ~File() { ::munmap(begin_, size_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::span<std::byte> bytes() { return {begin_, size_}; }
  SessionMemoryHeader& header() { return *reinterpret_cast<SessionMemoryHeader*>(begin_); }

 private:
  std::byte* begin_ = nullptr;
  std::size_t size_;
};

struct Attempt {
  File& file;
  EngineOptions options;
  Policy policy;
};

struct Refusal {
  const char* name;
  std::function<void(Attempt&)> change;
};

const Refusal refusals[] = {
    {"no session memory", [](Attempt& a) { a.file.header().format.magic ^= 1; }},
    {"text", [](Attempt& a) { std::memset(a.file.bytes().data(), 'x', a.file.bytes().size()); }},
    {"another version", [](Attempt& a) { ++a.file.header().format.version; }},
    {"records of another size", [](Attempt& a) { a.file.header().format.record_sizes += 64; }},
    {"written with fewer shards", [](Attempt& a) { a.file.header().format.shards = 2; }},
    {"fewer shards", [](Attempt& a) { a.options.shards = 2; }},
    {"written with more sessions", [](Attempt& a) { a.file.header().format.capacity *= 2; }},
    {"fewer sessions", [](Attempt& a) { a.options.max_sessions /= 2; }},
    {"another clock", [](Attempt& a) { a.options.time_epoch = 7; }},
    {"another external address",
     [](Attempt& a) { a.policy.external.v4 = {Host::of(203, 0, 113, 2)}; }},
    {"one more external address",
     [](Attempt& a) { a.policy.external.v4.push_back(Host::of(203, 0, 113, 2)); }},
    {"no IPv6 address", [](Attempt& a) { a.policy.external.v6.clear(); }},
    {"other ports",
     [](Attempt& a) {
       a.policy.ports = {40000, 48189};
     }},
    {"another mapping", [](Attempt& a) { a.policy.mapping = Mapping::address_and_port_dependent; }},
    {"cut by a byte",
     [](Attempt& a) {
       a.options.session_memory = a.options.session_memory.first(a.file.bytes().size() - 1);
     }},
    {"cut within the header",
     [](Attempt& a) { a.options.session_memory = a.options.session_memory.first(100); }},
};

bool is_refused(const Attempt& attempt) {
  try {
    Engine engine(attempt.options, std::make_shared<const Policy>(attempt.policy));
  } catch (const SessionMemoryError&) {
    return true;
  } catch (const std::invalid_argument&) {
    return true;
  }
  return false;
}

}  // namespace

int examine_refusals(std::span<std::byte> memory, Time now) {
  // The last process may have been killed before it wrote anything.
  Engine(kill_options(memory, 1, now), std::make_shared<const Policy>(kill_policy()));
  int count = 0;
  for (const Refusal& refusal : refusals) {
    File file(memory);
    Attempt attempt{file, kill_options(file.bytes(), 1, now), kill_policy()};
    refusal.change(attempt);
    const std::vector<std::byte> before(file.bytes().begin(), file.bytes().end());
    if (!is_refused(attempt)) throw std::runtime_error(std::string("not refused: ") + refusal.name);
    if (std::memcmp(before.data(), file.bytes().data(), before.size()) != 0) {
      throw std::runtime_error(std::string("refused but changed: ") + refusal.name);
    }
    ++count;
  }
  File file(memory);
  if (is_refused({file, kill_options(file.bytes(), 1, now), kill_policy()})) {
    throw std::runtime_error("refused as it is");
  }
  return count;
}

}  // namespace swnat::test
