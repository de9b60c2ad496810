#include "nfq/mapping_log.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <new>
#include <thread>
#include <utility>

#include "nfq/clock.h"
#include "nfq/log_switch.h"
#include "rules/text/utc_text.h"
#include "tests/support/gateway.h"
#include "tests/support/log_batches.h"
#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

// Keeps all that it is given; a gate can hold it up.
class Memory : public LogOutput {
 public:
  struct State {
    Mutex gate;
    Mutex mutex;
    std::vector<std::string> lines SWNAT_GUARDED_BY(mutex);
    bool is_out_of_memory SWNAT_GUARDED_BY(mutex) = false;  // for the next record of a mapping

    std::vector<std::string> all() {
      const Lock lock(mutex);
      return lines;
    }
  };

  Memory(std::shared_ptr<State> state, LogCounters& counters)
      : LogOutput(LogOutputKind::file, "memory", counters), state_(std::move(state)) {}

 private:
  Taken take(const LogBatch& batch, Time) override {
    const Lock gate(state_->gate);
    const Lock lock(state_->mutex);
    const bool begins = state_->lines.empty();
    if (!begins && std::exchange(state_->is_out_of_memory, false)) throw std::bad_alloc();
    for (std::size_t i = 0; i < batch.records().size(); ++i) {
      state_->lines.emplace_back(batch.line(i));
    }
    return {batch.records().size(), {}};
  }
  void close() override {}

  std::shared_ptr<State> state_;
};

rules::Config config_with(std::uint32_t port_block_of_green) {
  rules::Config config;
  config.log = rules::LogConfig{};
  for (const auto& [name, id] : {std::pair("blue", blue), std::pair("green", green)}) {
    rules::NamespaceConfig& one = config.namespaces.emplace_back();
    one.name = name;
    one.policy.first = one.policy.last = id;
    config.singles_by_fwmark.push_back(static_cast<std::uint32_t>(config.singles_by_fwmark.size()));
  }
  config.namespaces[1].policy.port_block = port_block_of_green;
  return config;
}

struct Fixture {
  std::shared_ptr<LogCounters> counters = std::make_shared<LogCounters>();
  std::shared_ptr<Memory::State> state = std::make_shared<Memory::State>();

  std::shared_ptr<MappingLog> log_of(const rules::Config& config) {
    MappingLog::Outputs outputs;
    outputs.push_back(std::make_unique<Memory>(state, *counters));
    return std::make_shared<MappingLog>(std::make_shared<const rules::Config>(config), counters, 0,
                                        std::move(outputs));
  }
  // Without the first, which tells the beginning.
  std::vector<std::string> lines() {
    std::vector<std::string> all = state->all();
    REQUIRE_FALSE(all.empty());
    CHECK_NE(all.front().find("begun"), std::string::npos);
    all.erase(all.begin());
    return all;
  }
};

Event mapping(NamespaceId id, EventKind kind = EventKind::mapping_made) {
  return {.time = swnat::nfq::now(),
          .kind = kind,
          .protocol = 17,
          .namespace_id = id,
          .internal = parse_endpoint("10.0.0.2:5000").value(),
          .external = parse_endpoint("203.0.113.1:40000").value()};
}

Event block(NamespaceId id) {
  return {.time = swnat::nfq::now(),
          .kind = EventKind::block_taken,
          .namespace_id = id,
          .count = 64,
          .external = parse_endpoint("203.0.113.1:40000").value()};
}

bool has(const std::string& line, std::string_view part) {
  return line.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "mapping log: records have names, and the wall clock's time") {
  const auto before =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  log_of(config_with(0))->take(std::array{mapping(green)});
  const auto all = lines();
  REQUIRE_EQ(all.size(), 1);
  CHECK(has(all[0], R"("namespace":"green","fwmark":2)"));
  const std::string time = all[0].substr(9, 24);
  // The two clocks are not read at once.
  CHECK_GE(time, rules::utc_text(before - std::chrono::milliseconds(2)));
  CHECK_LE(time, rules::utc_text(before + std::chrono::hours(1)));
  CHECK_EQ(counters->records, 2);
}

TEST_CASE_FIXTURE(Fixture, "mapping log: without blocks it has mappings, and nothing else") {
  const auto log = log_of(config_with(0));
  CHECK_EQ(log->kinds(), EventKinds{EventKind::mapping_made, EventKind::mapping_ended});
  log->take(std::array{mapping(blue, EventKind::session_made), mapping(blue)});
}

TEST_CASE_FIXTURE(Fixture, "mapping log: of who has blocks it has these, and what lies in none") {
  Event forwarded = mapping(green);
  forwarded.is_forward = true;
  Event tunnel = mapping(green);
  tunnel.protocol = 47;
  log_of(config_with(64))
      ->take(std::array{block(green), block(0), mapping(green), forwarded, tunnel, mapping(blue)});
  const auto all = lines();
  REQUIRE_EQ(all.size(), 4);
  CHECK(has(all[0], "block_taken"));
  CHECK(has(all[1], "forward"));
  CHECK(has(all[2], "gre"));
  CHECK(has(all[3], "blue"));
}

TEST_CASE_FIXTURE(Fixture, "mapping log: what the configuration lists is all that it has") {
  rules::Config config = config_with(64);
  config.log->events = EventKinds{EventKind::mapping_made};
  log_of(config)->take(
      std::array{block(green), mapping(green), mapping(blue, EventKind::session_made)});
  const auto all = lines();
  REQUIRE_EQ(all.size(), 1);
  CHECK(has(all[0], "mapping_made"));
}

TEST_CASE_FIXTURE(Fixture, "mapping log: a namespace that is gone keeps its name to the end") {
  {
    const auto log = log_of(config_with(0));
    rules::Config without = config_with(0);
    without.namespaces.pop_back();
    without.singles_by_fwmark.pop_back();
    log->set_config(std::make_shared<const rules::Config>(without));
    log->take(std::array{mapping(green, EventKind::mapping_ended)});
  }
  CHECK(has(lines().at(0), R"("namespace":"green")"));
}

TEST_CASE_FIXTURE(Fixture, "mapping log: what happened before a reload has the names of then") {
  rules::Config renamed = config_with(0);
  renamed.namespaces[1].name = "red";
  {
    const auto log = log_of(config_with(0));
    const Lock gate(state->gate);  // all three wait for the writer
    log->take(std::array{mapping(green)});
    log->set_config(std::make_shared<const rules::Config>(renamed));
    log->take(std::array{mapping(green, EventKind::mapping_ended)});
  }
  CHECK(has(lines().at(0), R"("namespace":"green")"));
  CHECK(has(lines().at(1), R"("namespace":"red")"));
}

TEST_CASE_FIXTURE(Fixture, "mapping log: mappings from before a namespace had blocks end") {
  {
    const auto log = log_of(config_with(0));
    log->take(std::array{mapping(green)});
    while (counters->records < 2) std::this_thread::yield();
    log->set_config(std::make_shared<const rules::Config>(config_with(64)));
    log->take(std::array{mapping(green, EventKind::mapping_ended)});
  }
  CHECK_EQ(lines().size(), 2);
}

TEST_CASE_FIXTURE(Fixture, "mapping log: what finds no room is counted, and told as a record") {
  const std::vector<Event> many(10'000, mapping(blue));
  std::size_t given = 0;
  {
    const auto log = log_of(config_with(0));
    {
      const Lock gate(state->gate);
      // Some may have been taken from the queue before the output held the writer up.
      while (given < 2 * MappingLog::events_kept + many.size()) {
        log->take(many);
        given += many.size();
      }
    }
    log->take(std::array{Event{.lost_kind = EventKind::mapping_ended, .count = 7},
                         Event{.lost_kind = EventKind::refused, .count = 9}});
  }
  CHECK_GT(counters->lost, 7);
  const auto all = lines();
  const auto told = [&](std::string_view kind) {
    std::uint64_t count = 0;
    const std::string head = R"("event":"lost","of":")" + std::string(kind) + R"(","count":)";
    for (const std::string& line : all) {
      const std::size_t at = line.find(head);
      if (at != std::string::npos) count += std::stoull(line.substr(at + head.size()));
    }
    return count;
  };
  CHECK_EQ(told("mapping_ended"), 7);
  CHECK_EQ(told("refused"), 0);
  CHECK_EQ(counters->lost, told("mapping_made") + 7);
  const auto made = std::ranges::count_if(
      all, [](const std::string& line) { return has(line, R"("event":"mapping_made")"); });
  CHECK_EQ(static_cast<std::uint64_t>(made) + told("mapping_made"), given);
}

TEST_CASE_FIXTURE(Fixture,
                  "mapping log: without memory for records they are lost, and it goes on") {
  const auto log = log_of(config_with(0));
  {
    const Lock lock(state->mutex);
    state->is_out_of_memory = true;
  }
  log->take(std::array{mapping(blue), mapping(blue)});
  while (counters->lost == 0) std::this_thread::yield();
  log->take(std::array{mapping(green)});
  log->finish();
  const auto all = lines();
  REQUIRE_EQ(all.size(), 2);
  CHECK(has(all[0], R"("event":"lost","of":"mapping_made","count":2)"));
  CHECK(has(all[1], R"("namespace":"green")"));
  CHECK_EQ(counters->lost, 2);
}

TEST_CASE("mapping log: a reload begins, changes and ends it, and no event is lost or told twice") {
  const TemporaryFolder folder;
  Gateway gateway;
  gateway.now = swnat::nfq::now();
  std::uint16_t port = 1000;
  const auto open = [&](std::uint16_t count) {
    for (int i = 0; i < count; ++i) {
      REQUIRE_EQ(gateway.try_open(blue, port++), Reason::translated_outbound);
    }
  };
  rules::Config config = config_with(0);
  const auto follow = [&](LogSwitch& log, const std::string& file) {
    config.log.reset();
    if (!file.empty()) config.log = rules::LogConfig{.file = file};
    log.follow(std::make_shared<const rules::Config>(config), gateway.engine.session_count());
  };
  {
    EventFeed feed(gateway.engine);
    LogSwitch log(feed);
    follow(log, "");
    CHECK_FALSE(log.is_on());
    open(5);
    follow(log, folder / "a");
    CHECK(log.is_on());
    open(20);
    follow(log, folder / "a");
    open(20);
    follow(log, folder / "b");
    open(20);
  }
  const std::string a = text_of_file(folder / "a");
  const std::string b = text_of_file(folder / "b");
  CHECK(has(a, R"("event":"begun","sessions":5})"));
  CHECK(has(b, R"("event":"begun","sessions":45})"));
  const auto made = [](const std::string& text) {
    std::size_t count = 0;
    for (std::size_t at = 0; (at = text.find("mapping_made", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  CHECK_EQ(made(a) + made(b), 60);
}
