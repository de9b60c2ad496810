// What the mapping log costs: new sessions at a steady rate, with and without a log, in turns.
//
// Sessions are made by one thread in batches, as a worker does, while the event feed and the log's
// writer have threads of their own. What is told is the time of the thread that makes sessions: a
// ratio within a round, for the machine may be busy otherwise; and what the log missed.
#include <fmt/format.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include "nfq/clock.h"
#include "nfq/log_switch.h"
#include "rules/config/config.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

constexpr std::uint32_t batches_a_second = 1000;

struct Options {
  std::uint32_t rate = 50'000;
  std::uint32_t seconds = 4;
  int rounds = 5;
  std::string file = "/tmp/record-bench.json";
};

struct Figures {
  double nanoseconds = 0;  // of processor time, for each new session
  std::uint64_t made = 0;
  std::uint64_t written = 0;
  std::uint64_t lost = 0;
  double seconds = 0;  // that it took
};

double thread_nanoseconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::shared_ptr<const rules::Config> config_with(const std::string& file) {
  rules::Config config;
  if (!file.empty()) config.log = rules::LogConfig{.file = file};
  for (std::uint32_t i = 0; i < SceneOptions{}.namespaces; ++i) {
    rules::NamespaceConfig& one = config.namespaces.emplace_back();
    one.name = fmt::format("tenant-{}", i + 1);
    one.policy.first = one.policy.last = i + 1;
    config.singles_by_fwmark.push_back(i);
  }
  return std::make_shared<const rules::Config>(std::move(config));
}

// Each session has a mapping of its own.
Figures measure(const Options& options, const std::string& file) {
  const std::uint32_t batch = std::max(options.rate / batches_a_second, 1u);
  const std::uint32_t batches = options.seconds * batches_a_second;
  Scene<Ipv4> scene({.sessions = 1024, .capacity = 1024 + batch * batches});
  scene.sleep(nfq::now());
  PacketBuffer buffer(batch);
  Figures figures;
  {
    nfq::EventFeed feed(scene.engine());
    nfq::LogSwitch log(feed);
    log.follow(config_with(file), scene.engine().session_count());
    const auto begin = std::chrono::steady_clock::now();
    auto due = begin;
    std::uint64_t number = scene.flows().size();
    for (std::uint32_t i = 0; i < batches; ++i) {
      for (std::uint32_t j = 0; j < batch; ++j, number += remotes_per_endpoint) {
        buffer.write<Ipv4>(j, scene.flow(number), protocol::udp, Direction::outbound, 0);
      }
      const Time now = scene.next_tick();
      const double before = thread_nanoseconds();
      scene.engine().translate(buffer.packets(), now);
      figures.nanoseconds += thread_nanoseconds() - before;
      require_accepted(buffer.packets());
      // A machine that stood still is not made up for: that would be another rate.
      due = std::max(due + std::chrono::microseconds(1'000'000) / batches_a_second,
                     std::chrono::steady_clock::now());
      std::this_thread::sleep_until(due);
    }
    figures.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    figures.made = std::uint64_t{batch} * batches;
    // What the queue still has is written before the counters are read.
    const auto& own = log.counters().outputs[static_cast<std::size_t>(nfq::LogOutputKind::file)];
    while (!file.empty() && own.records + own.lost + log.counters().lost < figures.made + 1) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    figures.written = file.empty() ? 0 : own.records - 1;  // without the beginning
    figures.lost = log.counters().lost + own.lost;
  }
  figures.nanoseconds /= static_cast<double>(figures.made);
  return figures;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int run(const Options& options) {
  std::vector<double> ratios;
  fmt::print("round   without log       with log  ratio  sessions/s    records  lost\n");
  for (int round = 0; round < options.rounds; ++round) {
    const Figures without = measure(options, "");
    const Figures with = measure(options, options.file);
    std::filesystem::remove(options.file);
    ratios.push_back(with.nanoseconds / without.nanoseconds);
    fmt::print("{:5} {:9.0f} ns   {:9.0f} ns   {:5.2f}  {:10.0f} {:10} {:5}\n", round + 1,
               without.nanoseconds, with.nanoseconds, ratios.back(),
               static_cast<double>(with.made) / with.seconds, with.written, with.lost);
    std::fflush(stdout);
  }
  fmt::print("processor time of a new session, with the log to without: {:.2f} (median)\n",
             median(ratios));
  return 0;
}

int run_command_line(int argc, char** argv) {
  Options options;
  CLI::App app("What the mapping log costs a new session, and whether it keeps up.",
               "record-bench");
  app.add_option("--rate", options.rate, "new sessions a second")->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each measurement")->capture_default_str();
  app.add_option("--rounds", options.rounds, "of both, in turns")->capture_default_str();
  app.add_option("--file", options.file, "the log, removed at the end")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return run(options);
}

}  // namespace
}  // namespace swnat::bench

int main(int argc, char** argv) {
  try {
    return swnat::bench::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "record-bench: %s\n", error.what());
    return 1;
  }
}
