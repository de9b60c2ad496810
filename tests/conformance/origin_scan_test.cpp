// Theory of operation
//
// The defect is a scan: each new connection looked at every entry of every tenant. Time says little
// about that, memory says all: the session records lie in memory that the test gives, and once a
// tenant has many sessions the test forbids all access to it. Each page that is touched
// nevertheless is counted, and allowed from then on.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>

#include "tests/support/connection.h"

namespace swnat::test {
namespace {

std::uintptr_t guarded_begin = 0;
std::uintptr_t guarded_end = 0;
std::uintptr_t page_size = 0;
volatile std::sig_atomic_t pages_touched = 0;

void on_fault(int signal, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  if (address < guarded_begin || address >= guarded_end) {
    ::signal(signal, SIG_DFL);  // a fault of some other kind happens again, and ends the program
    return;
  }
  pages_touched = pages_touched + 1;
  void* const page = reinterpret_cast<void*>(address / page_size * page_size);
  ::mprotect(page, page_size, PROT_READ | PROT_WRITE);
}

// Memory whose pages tell when they are touched.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t size) : size_(size) {
    void* const mapped =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    begin_ = static_cast<std::byte*>(mapped);
    page_size = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    guarded_begin = reinterpret_cast<std::uintptr_t>(mapped);
    guarded_end = guarded_begin + size;
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(SIGSEGV, &action, &before_);
  }
  ~GuardedMemory() {
    ::sigaction(SIGSEGV, &before_, nullptr);
    ::munmap(begin_, size_);
  }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::span<std::byte> bytes() { return {begin_, size_}; }
  void forbid() {
    pages_touched = 0;
    ::mprotect(begin_, size_, PROT_NONE);
  }
  int pages_touched_since() {
    ::mprotect(begin_, size_, PROT_READ | PROT_WRITE);
    return pages_touched;
  }

 private:
  std::byte* begin_ = nullptr;
  std::size_t size_;
  struct sigaction before_ {};
};

}  // namespace

TEST_CASE("origin_new_session_scans_all") {
  EngineOptions options = options_of(1, 20'000);
  GuardedMemory memory(Engine::session_memory_size(options, roomy_policy()));
  options.session_memory = memory.bytes();
  options.now = Gateway::start;
  Gateway gateway(roomy_policy(), options);
  for (std::uint16_t port = 1; port <= 10'000; ++port) {
    gateway.open(protocol::udp, blue, at(client, port), server);
  }
  // Their records fill 156 pages. One session's record, its header, and a few chance meetings in
  // the index.
  memory.forbid();
  gateway.open(protocol::udp, green, client, server);
  const int touched = memory.pages_touched_since();
  CHECK_GE(touched, 1);
  CHECK_LE(touched, 8);
}

}  // namespace swnat::test
