#include "nfq/event_feed.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "nfq/clock.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

class Collector : public EventListener {
 public:
  using EventListener::EventListener;

  void take(std::span<const Event> events) override {
    const Lock lock(mutex_);
    for (const Event& event : events) ++counts_[event.kind];
    changed_.notify_all();
  }

  std::size_t count(EventKind kind) {
    const Lock lock(mutex_);
    return counts_[kind];
  }

  // Waits as long as it takes; a test that never sees it runs into its time.
  void await(EventKind kind, std::size_t count) {
    const Lock lock(mutex_);
    while (counts_[kind] < count) changed_.wait(mutex_);
  }

 private:
  Mutex mutex_;
  std::map<EventKind, std::size_t> counts_ SWNAT_GUARDED_BY(mutex_);
  std::condition_variable_any changed_;
};

std::shared_ptr<Collector> collector(EventKinds kinds = {EventKind::session_made}) {
  return std::make_shared<Collector>(kinds);
}

struct FedGateway : Gateway {
  FedGateway() { Gateway::now = swnat::nfq::now(); }

  // So many sessions of as many ports.
  void open_sessions(std::uint16_t first_port, std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) {
      REQUIRE_EQ(try_open(blue, static_cast<std::uint16_t>(first_port + i)),
                 Reason::translated_outbound);
    }
  }
};

}  // namespace

TEST_CASE("event feed: each listener is told of everything, once") {
  FedGateway gateway;
  EventFeed feed(gateway.engine);
  const auto first = collector();
  const auto second = collector();
  feed.add(first);
  feed.add(second);
  gateway.open_sessions(1000, 500);
  for (const auto& each : {first, second}) {
    each->await(EventKind::session_made, 500);
    CHECK_EQ(each->count(EventKind::session_made), 500);
    CHECK_EQ(each->count(EventKind::session_ended), 0);
  }
}

TEST_CASE("event feed: what only one listener wants is told while it is there") {
  FedGateway gateway;
  EventFeed feed(gateway.engine);
  const auto sessions = collector();
  const auto mappings = collector({EventKind::mapping_made});
  feed.add(sessions);
  gateway.open_sessions(1000, 1);
  sessions->await(EventKind::session_made, 1);
  feed.add(mappings);
  gateway.open_sessions(2000, 1);
  mappings->await(EventKind::mapping_made, 1);
  feed.remove(mappings.get());
  gateway.open_sessions(3000, 1);
  sessions->await(EventKind::session_made, 3);
  CHECK_EQ(sessions->count(EventKind::mapping_made), 1);
}

TEST_CASE("event feed: nobody is told after the last listener went, and the next one is") {
  FedGateway gateway;
  EventFeed feed(gateway.engine);
  const auto early = collector();
  feed.add(early);
  gateway.open_sessions(1000, 1);
  early->await(EventKind::session_made, 1);
  feed.remove(early.get());
  gateway.open_sessions(2000, 1);
  const auto late = collector();
  feed.add(late);
  gateway.open_sessions(3000, 1);
  late->await(EventKind::session_made, 1);
  CHECK_EQ(late->count(EventKind::session_made), 1);
  CHECK_EQ(early->count(EventKind::session_made), 1);
}

TEST_CASE("event feed: what a slow listener lets run over is told as lost") {
  class Slow : public Collector {
   public:
    using Collector::Collector;
    void take(std::span<const Event> events) override {
      const Lock lock(gate_);
      Collector::take(events);
    }
    Mutex gate_;
  };
  Policy policy = roomy_policy();
  policy.external.v4.push_back(Host::of(203, 0, 113, 2));
  Gateway gateway(policy, options_of(1, 65'536));
  gateway.now = swnat::nfq::now();
  EventFeed feed(gateway.engine);
  const auto slow = std::make_shared<Slow>(EventKinds{EventKind::session_made});
  feed.add(slow);
  {
    const Lock lock(slow->gate_);
    for (std::uint32_t i = 0; i < EventFeed::events_kept + 1000; ++i) {
      const Peer remote = at(server, static_cast<std::uint16_t>(1 + i % 60'000));
      REQUIRE_EQ(gateway.try_open(blue, 1000, remote), Reason::translated_outbound);
    }
  }
  slow->await(EventKind::lost, 1);
  CHECK_GE(slow->count(EventKind::session_made), EventFeed::events_kept);
}

TEST_CASE("event feed: it ends with listeners, and without any") {
  FedGateway gateway;
  { const EventFeed feed(gateway.engine); }
  EventFeed feed(gateway.engine);
  feed.add(collector());
}
