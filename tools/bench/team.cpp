#include "tools/bench/team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "tools/bench/rounds.h"

namespace swnat::bench {
namespace {

// Waits without sleeping, because waking up takes longer than a section does.
class SpinBarrier {
 public:
  explicit SpinBarrier(unsigned threads) : threads_(threads) {}

  void arrive_and_wait() {
    const unsigned turn = turn_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
      return;
    }
    // Gives way now and then, should there be fewer CPUs than threads.
    constexpr unsigned patience = 1u << 16;
    for (unsigned waited = 1; turn_.load(std::memory_order_acquire) == turn; ++waited) {
      if (waited % patience == 0) std::this_thread::yield();
    }
  }

 private:
  const unsigned threads_;
  alignas(64) std::atomic<unsigned> arrived_{0};
  alignas(64) std::atomic<unsigned> turn_{0};
};

// To the CPU of that number among those that the process may use, if there is one.
void pin(unsigned number) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || number-- != 0) continue;
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    pthread_setaffinity_np(pthread_self(), sizeof own, &own);
    return;
  }
}

struct alignas(64) Member {
  std::vector<Clock::time_point> begins;
  std::vector<Clock::time_point> ends;
  std::exception_ptr fault;
};

void run_member(unsigned thread, std::size_t sections, const TeamWork& work, Member& member,
                SpinBarrier& barrier) {
  // A thread that has failed still meets the others.
  const auto try_to = [&](const auto& act) {
    if (member.fault) return;
    try {
      act();
    } catch (...) {
      member.fault = std::current_exception();
    }
  };
  pin(thread);
  for (std::size_t section = 0; section < sections; ++section) {
    try_to([&] { work.prepare(thread, section); });
    barrier.arrive_and_wait();
    member.begins[section] = Clock::now();
    work.timed(thread);
    member.ends[section] = Clock::now();
    barrier.arrive_and_wait();
    try_to([&] { work.check(thread); });
  }
}

}  // namespace

double run_team(unsigned threads, std::size_t sections, const TeamWork& work) {
  SpinBarrier barrier(threads);
  std::vector<Member> members(threads);
  std::vector<std::thread> running;
  for (Member& member : members) {
    member.begins.resize(sections);
    member.ends.resize(sections);
  }
  for (unsigned thread = 0; thread < threads; ++thread) {
    running.emplace_back(run_member, thread, sections, std::cref(work), std::ref(members[thread]),
                         std::ref(barrier));
  }
  for (std::thread& one : running) one.join();
  double spent = 0;
  for (const Member& member : members) {
    if (member.fault) std::rethrow_exception(member.fault);
  }
  for (std::size_t section = sections / 8; section < sections; ++section) {
    Clock::time_point begin = Clock::time_point::max();
    Clock::time_point end = Clock::time_point::min();
    for (const Member& member : members) {
      begin = std::min(begin, member.begins[section]);
      end = std::max(end, member.ends[section]);
    }
    spent += std::chrono::duration<double, std::nano>(end - begin).count();
  }
  return spent;
}

}  // namespace swnat::bench
