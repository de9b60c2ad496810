// Several threads at once: each one's tenants are treated as if nobody else were there.
#include "tests/property/crowd.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "tests/property/campaign.h"
#include "tests/property/generator.h"
#include "tests/property/shrink.h"
#include "tests/support/dice.h"
#include "tests/support/effort.h"

using namespace swnat;
using namespace swnat::property;

namespace {

constexpr std::uint32_t phases = 40;
constexpr std::uint32_t packets_per_phase = 12;
constexpr std::uint32_t crowd_shards = 4;

// A race does not show every time.
bool fails_together(const Failure& failure) {
  constexpr int attempts = 5;
  try {
    for (int i = 0; i < attempts; ++i) {
      if (!disagreement_together(failure.setup, failure.steps).empty()) return true;
    }
  } catch (const std::invalid_argument&) {  // a configuration that the engine refuses
  }
  return false;
}

struct Run {
  Failure played;
  std::string wrong;
};

Run run(std::uint32_t seed) {
  Generator operators(seed);
  std::vector<Generator> generators;
  for (std::uint32_t worker = 0; worker < Crowd::workers; ++worker) {
    generators.emplace_back(seed * Crowd::workers + worker);
  }
  Run run;
  run.played.setup =
      operators.crowd_setup(crowd_shards, Crowd::tenants_of(Crowd::workers - 1).last);
  Crowd crowd(run.played.setup);
  const auto play_alone = [&](const Step& step) {
    run.played.steps.push_back(step);
    crowd.play_alone(step);
  };
  try {
    for (std::uint32_t phase = 0; phase < phases; ++phase) {
      const Model& any = crowd.part(phase % Crowd::workers).model();
      play_alone(operators.travel(any, crowd.now()));
      if (phase % 4 == 1) play_alone({.what = What::sweep});
      if (phase % 8 == 7) {
        play_alone({.what = What::configure, .policy = phase % run.played.setup.policies.size()});
      }
      std::vector<std::vector<Step>> steps(Crowd::workers);
      const auto keep = [&] {
        for (const auto& one : steps) {
          run.played.steps.insert(run.played.steps.end(), one.begin(), one.end());
        }
      };
      try {
        crowd.play_together([&](std::uint32_t worker, Part& part) {
          for (std::uint32_t i = 0; i < packets_per_phase; ++i) {
            steps[worker].push_back(
                generators[worker].packet(part.model(), Crowd::tenants_of(worker)));
            part.play(steps[worker].back());
          }
        });
      } catch (const Disagreement&) {
        keep();
        throw;
      }
      keep();
      crowd.check();
    }
  } catch (const Disagreement& wrong) {
    run.wrong = wrong.what();
  }
  return run;
}

}  // namespace

TEST_CASE("crowd: tenants of different threads") {
  const std::uint32_t runs = campaign.runs != 0 ? campaign.runs : 20 * test::effort;
  for (std::uint32_t seed = campaign.seed; seed != campaign.seed + runs; ++seed) {
    CAPTURE(seed);  // should it crash
    const Run one = run(seed);
    if (one.wrong.empty()) continue;
    MESSAGE("--seed " << seed << " --runs 1: " << one.wrong);
    const bool alone = fails_alone(one.played);
    const Failure failure =
        alone ? shrunk(one.played, fails_alone, 20'000) : shrunk(one.played, fails_together, 500);
    FAIL("after " << one.played.steps.size() << " steps; shrunk to " << failure.steps.size()
                  << std::string(alone ? "" : ", for disagreement_together()") << "\n"
                  << as_test_case(failure.setup, failure.steps));
  }
}

namespace {

constexpr NamespaceId hammered = 1;
constexpr std::uint32_t hammered_limit = 16;
constexpr std::uint32_t own_ports = 12;  // of each worker

std::uint16_t port_of(std::uint32_t worker, std::uint32_t number) {
  return static_cast<std::uint16_t>(1000 + worker * own_ports + number);
}

// All threads open and use sessions of one namespace that is at its limit.
class Hammering {
 public:
  Hammering(std::uint32_t seed, AtLimit at_limit)
      : seed_(seed), at_limit_(at_limit), stage_(setup_of(seed, at_limit)) {}

  void run() {
    for (std::uint32_t phase = 0; phase < phases; ++phase) {
      stage_.now += Time{1};
      hammer(phase);
      check();
    }
  }

 private:
  static Setup setup_of(std::uint32_t seed, AtLimit at_limit) {
    Setup setup{.shards = crowd_shards, .secret = seed};
    setup.policies.push_back(plain_policy());
    setup.policies[0].at_limit = at_limit;
    setup.policies[0].namespaces = {
        {.first = hammered, .last = hammered, .session_limit = hammered_limit}};
    return setup;
  }

  void hammer(std::uint32_t phase) {
    before_ = ages();
    for (auto& one : touched_) one.clear();
    std::vector<std::jthread> threads;
    for (std::uint32_t worker = 0; worker < Crowd::workers; ++worker) {
      threads.emplace_back([this, worker, phase] {
        test::Dice dice((seed_ * phases + phase) * Crowd::workers + worker);
        for (std::uint32_t i = dice.below(5); i > 0; --i) {
          const std::uint16_t port = port_of(worker, dice.below(own_ports));
          touched_[worker].insert(port);
          send(port);
          // Who is refused was counted for a moment.
          if (stage_.counts()[{hammered, ""}] > hammered_limit + Crowd::workers) beyond_ = true;
        }
      });
    }
  }

  void send(std::uint16_t port) {
    Bytes packet = make_packet({{internal_host(false, 0), port}, {remote_host(false, 0), 80}},
                               Kind::udp, {}, {});
    stage_.engine.outbound(packet, hammered, stage_.now);
  }

  std::map<std::uint16_t, Time> ages() {
    std::map<std::uint16_t, Time> ages;
    for (const SessionView& view : stage_.sessions()) {
      ages[view.internal.port] = stage_.now - view.idle;
    }
    return ages;
  }

  // Sessions that nobody touched went, if they did, in the order of their last packets.
  void check() {
    CHECK_FALSE(beyond_);
    const auto after = ages();
    std::set<std::uint16_t> touched;
    for (const auto& one : touched_) touched.insert(one.begin(), one.end());
    std::set<std::uint16_t> all = touched;
    Time last_gone{0};
    Time first_kept = stage_.now;
    for (const auto& [port, last_active] : before_) {
      all.insert(port);
      if (touched.contains(port)) continue;
      if (after.contains(port)) {
        CHECK_EQ(after.at(port), last_active);
        first_kept = std::min(first_kept, last_active);
      } else {
        last_gone = std::max(last_gone, last_active);
      }
      if (at_limit_ == AtLimit::refuse) CHECK(after.contains(port));
    }
    CHECK_EQ(after.size(), std::min<std::size_t>(all.size(), hammered_limit));
    CHECK_EQ((stage_.counts()[{hammered, ""}]), after.size());
    CHECK_LE(last_gone, first_kept);
  }

  std::uint32_t seed_;
  AtLimit at_limit_;
  Stage stage_;
  std::map<std::uint16_t, Time> before_;
  std::set<std::uint16_t> touched_[Crowd::workers];
  std::atomic<bool> beyond_ = false;
};

}  // namespace

TEST_CASE("crowd: one namespace at its limit, hammered by all threads") {
  const std::uint32_t runs = campaign.runs != 0 ? campaign.runs : 10 * test::effort;
  for (std::uint32_t seed = campaign.seed; seed != campaign.seed + runs; ++seed) {
    CAPTURE(seed);
    for (const AtLimit at_limit : {AtLimit::evict_oldest, AtLimit::refuse}) {
      Hammering(seed, at_limit).run();
    }
  }
}
