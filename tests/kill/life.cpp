#include "tests/kill/life.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <new>
#include <stdexcept>
#include <thread>

#include "tests/kill/worker.h"

namespace swnat::test {
namespace {

constexpr std::int64_t first_tick = 1'000'000;
constexpr int warm_up = 2000;

// Zero, and there for the children too.
std::span<std::byte> shared_memory(std::size_t size) {
  void* const mapped =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::runtime_error("no shared memory");
  return {static_cast<std::byte*>(mapped), size};
}

[[noreturn]] void run(Worker& worker) {
  for (;;) worker.work();
}

// Calls `work` with an attached engine; it must not return.
template <class Work>
[[noreturn]] void attach(Scene& scene, std::uint32_t secret, Work work) {
  try {
    scene.ledger.phase = Phase::attaching;
    Engine engine(kill_options(scene.memory, secret, Time(scene.ledger.clock)),
                  std::make_shared<const Policy>(kill_policy()));
    scene.ledger.phase = Phase::working;
    work(engine);
  } catch (const std::exception& error) {
    std::snprintf(scene.ledger.failure.data(), scene.ledger.failure.size(), "attaching: %s",
                  error.what());
  }
  ::_exit(1);
}

}  // namespace

Scene::Scene()
    : memory(shared_memory(Engine::session_memory_size(kill_options({}, 1, {}), kill_policy()))),
      ledger(*new (shared_memory(sizeof(Ledger)).data()) Ledger{}) {
  ledger.clock = first_tick;
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    repertoires.push_back(repertoire_of(worker));
  }
}

void Scene::start_anew() {
  std::memset(memory.data(), 0, memory.size());
  for (auto* const all : {&ledger.roomy, &ledger.crowded}) {
    for (auto& entries : *all) {
      for (Entry& entry : entries) entry.fate = Fate::absent;
    }
  }
}

void live(Scene& scene, std::uint32_t seed) {
  Dice random(seed);
  attach(scene, random(), [&](Engine& engine) {
    std::vector<std::thread> threads;
    for (std::uint32_t number = 0; number < workers; ++number) {
      threads.emplace_back([&, number, own_seed = random()] {
        Worker worker(engine, scene.ledger, scene.repertoires[number], number, own_seed);
        worker.settle();
        run(worker);
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
}

void live_alone(Scene& scene, std::uint32_t seed) {
  attach(scene, seed, [&](Engine& engine) {
    Worker worker(engine, scene.ledger, scene.repertoires[0], 0, seed);
    worker.settle();
    for (int i = 0; i < warm_up; ++i) worker.work();
    ::raise(SIGSTOP);
    run(worker);
  });
}

}  // namespace swnat::test
