#include "tools/top_model.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>

using namespace swnat::ctl;
using namespace std::chrono_literals;

namespace {

TopRow row(std::string name, std::uint64_t packets_out, std::uint64_t packets_in) {
  return {.name = std::move(name),
          .outbound = {packets_out, 100 * packets_out},
          .inbound = {packets_in, 1000 * packets_in}};
}

TopRow with_use(TopRow row, std::uint64_t sessions, std::uint64_t ports) {
  row.sessions = sessions;
  row.ports = ports;
  return row;
}

TopRow with_made(TopRow row, std::uint64_t sessions_made) {
  row.sessions_made = sessions_made;
  return row;
}

TopReading reading(std::chrono::milliseconds time, std::vector<TopRow> rows) {
  return {.time = std::chrono::steady_clock::time_point(time), .rows = std::move(rows)};
}

std::string names(const TopModel& model, const TopOrder& order) {
  std::string names;
  for (const TopLine* line : model.lines(order)) {
    if (!names.empty()) names += ' ';
    names += line->row.name;
  }
  return names;
}

// Blue sends most, red gets most, and green does nothing.
TopModel three_tenants() {
  TopModel model;
  model.take(reading(1s, {with_use(row("blue", 0, 0), 10, 3), with_use(row("green", 5, 5), 30, 1),
                          with_use(row("red", 7, 0), 20, 2)}));
  model.take(reading(2s, {with_use(row("blue", 50, 0), 10, 3), with_use(row("green", 5, 5), 30, 1),
                          with_use(row("red", 8, 30), 20, 2)}));
  return model;
}

}  // namespace

TEST_CASE("top model: rates are what came between two readings, for each second") {
  TopModel model;
  model.take(reading(1s, {row("blue", 1000, 500)}));
  CHECK_FALSE(model.lines()[0].rates);
  model.take(reading(1500ms, {row("blue", 1010, 505)}));
  REQUIRE(model.lines()[0].rates);
  const TopRates rates = *model.lines()[0].rates;
  CHECK_EQ(rates.packets_out, doctest::Approx(20));
  CHECK_EQ(rates.bytes_out, doctest::Approx(2000));
  CHECK_EQ(rates.packets_in, doctest::Approx(10));
  CHECK_EQ(rates.bytes_in, doctest::Approx(10'000));
  // One that was late, or two looks of which one failed.
  model.take(reading(11'500ms, {row("blue", 1020, 505)}));
  CHECK_EQ(model.lines()[0].rates->packets_out, doctest::Approx(1));
}

TEST_CASE("top model: new sessions a second, of each and of all") {
  TopModel model;
  model.take(reading(1s, {with_made(row("blue", 0, 0), 100), with_made(row("green", 0, 0), 7)}));
  model.take(reading(3s, {with_made(row("blue", 0, 0), 105), with_made(row("green", 0, 0), 27)}));
  CHECK_EQ(model.lines()[0].rates->sessions_made, doctest::Approx(2.5));
  CHECK_EQ(model.lines()[1].rates->sessions_made, doctest::Approx(10));
  CHECK_EQ(model.total().sessions_made, doctest::Approx(12.5));
  CHECK_EQ(names(model, {.sort = TopSort::made}), "green blue");
  // A daemon that was started again.
  model.take(reading(4s, {with_made(row("blue", 0, 0), 104), with_made(row("green", 0, 0), 28)}));
  CHECK_FALSE(model.lines()[0].rates);
  CHECK_EQ(model.total().sessions_made, doctest::Approx(1));
}

TEST_CASE("top model: who comes, or comes back, has no rate yet; who goes is gone") {
  TopModel model;
  model.take(reading(1s, {row("blue", 10, 0)}));
  model.take(reading(2s, {row("blue", 20, 0), row("green", 1'000'000, 0)}));
  CHECK_EQ(model.lines()[0].rates->packets_out, doctest::Approx(10));
  CHECK_FALSE(model.lines()[1].rates);
  CHECK_EQ(model.total().packets_out, doctest::Approx(10));
  model.take(reading(3s, {row("green", 1'000'002, 0)}));
  REQUIRE_EQ(model.lines().size(), 1);
  CHECK_EQ(model.lines()[0].rates->packets_out, doctest::Approx(2));
  model.take(reading(4s, {row("blue", 500, 0), row("green", 1'000'002, 0)}));
  CHECK_FALSE(model.lines()[0].rates);
}

TEST_CASE("top model: a daemon that was started again counts anew") {
  TopModel model;
  model.take(reading(1s, {row("blue", 1000, 1000)}));
  model.take(reading(2s, {row("blue", 3, 2000)}));
  CHECK_FALSE(model.lines()[0].rates);
  model.take(reading(3s, {row("blue", 5, 2000)}));
  CHECK_EQ(model.lines()[0].rates->packets_out, doctest::Approx(2));
}

TEST_CASE("top model: sorted by each key, the largest first, and reversed") {
  const TopModel model = three_tenants();
  const std::pair<TopSort, const char*> orders[] = {
      {TopSort::bytes, "red blue green"},    {TopSort::packets, "blue red green"},
      {TopSort::outbound, "blue red green"}, {TopSort::inbound, "red blue green"},
      {TopSort::sessions, "green red blue"}, {TopSort::ports, "blue red green"},
      {TopSort::name, "blue green red"},
  };
  for (const auto& order : orders) {
    CAPTURE(name_of(order.first));
    CHECK_EQ(names(model, {.sort = order.first}), order.second);
  }
  CHECK_EQ(names(model, {.sort = TopSort::sessions, .is_reverse = true}), "blue red green");
  CHECK_EQ(names(model, {.sort = TopSort::name, .is_reverse = true}), "red green blue");
}

TEST_CASE("top model: whose rate is not known comes behind who has none") {
  TopModel model;
  model.take(reading(1s, {row("idle", 5, 5)}));
  model.take(reading(2s, {row("idle", 5, 5), row("fresh", 9, 9)}));
  CHECK_EQ(names(model, {}), "idle fresh");
}

TEST_CASE("top model: the filter is some part of the names, in whatever case") {
  const TopModel model = three_tenants();
  CHECK_EQ(names(model, {.filter = "re"}), "red green");
  CHECK_EQ(names(model, {.filter = "BLUE"}), "blue");
  CHECK_EQ(names(model, {.filter = "nobody"}), "");
  CHECK_EQ(model.sessions(), 60);  // of all
}

TEST_CASE("top model: sessions are told apart by all that they have") {
  const auto session = [](const char* remote, std::uint64_t packets) {
    TopRow one = row("blue", packets, 0);
    one.protocol = "udp";
    one.internal = "10.0.0.2:1000";
    one.external = "203.0.113.1:40000";
    one.remote = remote;
    return one;
  };
  const auto sessions = [](std::chrono::milliseconds time, std::vector<TopRow> rows) {
    TopReading some = reading(time, std::move(rows));
    some.by = TopBy::sessions;
    return some;
  };
  TopModel model;
  model.take(reading(1s, {row("blue", 1, 1)}));
  model.take(sessions(2s, {session("198.51.100.7:1", 5), session("198.51.100.7:2", 50)}));
  CHECK_FALSE(model.lines()[0].rates);
  model.take(sessions(3s, {session("198.51.100.7:2", 53), session("198.51.100.7:1", 6)}));
  CHECK_EQ(model.lines()[0].rates->packets_out, doctest::Approx(3));
  CHECK_EQ(model.lines()[1].rates->packets_out, doctest::Approx(1));
  CHECK_EQ(model.lines({.filter = "100.7:1"}).size(), 1);
  CHECK_EQ(model.sessions(), 2);
}
