// A reader, somebody who listens and stops, and somebody who ends sessions, while threads
// translate.
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr std::uint32_t workers = 3;
constexpr NamespaceId tenants = 4;
constexpr std::uint32_t room = 1u << 16;

Policy crowded() {
  Policy policy = roomy_policy();
  policy.namespaces = {{.first = 1, .last = tenants, .session_limit = 30, .external = {}}};
  policy.timeouts.udp = 100s;
  return policy;
}

// Opens sessions, most of which end another.
void work(Engine& engine, std::atomic<std::int64_t>& clock, std::uint32_t number) {
  Dice random(number);
  for (int round = 0; round < 150; ++round) {
    std::vector<Bytes> bytes;
    std::vector<Packet> packets(24);
    for (Packet& packet : packets) {
      packet.namespace_id = 1 + random.below(tenants);
      const auto port = static_cast<std::uint16_t>(1000 + random.below(200));
      bytes.push_back(udp(at(client, port), at(server, 80)));
    }
    for (std::size_t i = 0; i < packets.size(); ++i) packets[i].bytes = bytes[i];
    engine.translate(packets, Time(clock.fetch_add(100)));
  }
}

// What the events say is there: each made once before it ends once.
class Ledger {
 public:
  void take(Engine& engine, Time now) {
    Event page[100];
    while (const std::size_t count = engine.take_events(page, now)) {
      for (std::size_t i = 0; i < count; ++i) enter(page[i]);
    }
  }

  std::uint64_t sessions() const { return sum(sessions_); }
  std::uint64_t mappings() const { return sum(mappings_); }
  std::uint64_t wrong = 0;
  std::uint64_t ended = 0;

 private:
  using Key = std::tuple<NamespaceId, std::uint16_t, std::uint16_t>;

  void enter(const Event& event) {
    const Key key{event.namespace_id, event.internal.port, event.external.port};
    switch (event.kind) {
      case EventKind::mapping_made:
        if (mappings_[key]++ != 0) ++wrong;
        break;
      case EventKind::mapping_ended:
        if (mappings_[key]-- != 1 || sessions_[key] != 0) ++wrong;
        break;
      case EventKind::session_made:
        if (mappings_[key] != 1 || sessions_[key]++ != 0) ++wrong;
        break;
      case EventKind::session_ended:
        if (sessions_[key]-- != 1) ++wrong;
        ++ended;
        break;
      default:
        ++wrong;
    }
  }
  static std::uint64_t sum(const std::map<Key, int>& counts) {
    std::uint64_t all = 0;
    for (const auto& [key, count] : counts) all += static_cast<std::uint64_t>(count);
    return all;
  }

  std::map<Key, int> sessions_;
  std::map<Key, int> mappings_;
};

std::uint64_t end_some(Engine& engine, std::atomic<std::int64_t>& clock) {
  Engine::Cursor cursor;
  std::uint64_t all = 0;
  const SessionPattern pattern{.namespaces = {{2, 3}}};
  while (const auto count = engine.end_sessions(pattern, cursor, Time(clock.load()))) {
    all += *count;
  }
  return all;
}

}  // namespace

TEST_CASE("event_threads: with room enough a reader knows all that there is") {
  Gateway gateway(crowded(), options_of(4));
  std::atomic<std::int64_t> clock{1'000'000};
  gateway.engine.listen(EventKinds::all(), room);
  Ledger ledger;
  std::uint64_t flushed = 0;
  {
    std::atomic<bool> over{false};
    std::jthread reading([&] {
      while (!over) ledger.take(gateway.engine, Time(clock.load()));
    });
    std::jthread ending([&] {
      while (!over) flushed += end_some(gateway.engine, clock);
    });
    {
      std::vector<std::jthread> crew;
      for (std::uint32_t number = 0; number < workers; ++number) {
        crew.emplace_back([&, number] { work(gateway.engine, clock, number); });
      }
    }
    over = true;
  }
  ledger.take(gateway.engine, Time(clock.load()));
  CHECK_EQ(ledger.wrong, 0);
  CHECK_GT(ledger.ended, 0);
  CHECK_GE(ledger.ended, flushed);
  CHECK_EQ(ledger.sessions(), gateway.engine.session_count());
  CHECK_EQ(ledger.mappings(), gateway.engine.session_count());
}

TEST_CASE("event_threads: listening begins and ends while packets are translated") {
  Gateway gateway(crowded(), options_of(2));
  std::atomic<std::int64_t> clock{1'000'000};
  std::atomic<bool> over{false};
  std::jthread listening([&] {
    Event page[64];
    for (std::uint32_t i = 0; !over; ++i) {
      gateway.engine.listen(i % 2 == 0 ? EventKinds::all() : EventKinds{EventKind::refused},
                            i % 3 == 0 ? 16 : 1024);
      gateway.engine.take_events(page, Time(clock.load()));
      if (i % 5 == 0) gateway.engine.stop_listening();
    }
  });
  std::jthread reading([&] {
    Event page[64];
    while (!over) gateway.engine.take_events(page, Time(clock.load()));
  });
  {
    std::vector<std::jthread> crew;
    for (std::uint32_t number = 0; number < workers; ++number) {
      crew.emplace_back([&, number] { work(gateway.engine, clock, number); });
    }
  }
  over = true;
  listening.join();
  gateway.engine.stop_listening();
  Event page[1];
  CHECK_EQ(gateway.engine.take_events(page, Time(clock.load())), 0);
  CHECK_LE(gateway.engine.session_count(), 30 * tenants);
}
