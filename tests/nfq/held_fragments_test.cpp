#include "nfq/held_fragments.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/naive_shares.h"
#include "tests/support/packets.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

using Ids = std::vector<std::uint32_t>;

// Bytes that tell which packet they are of.
Bytes bytes_of(std::uint32_t id, std::size_t size = 100) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(id * 31 + i);
  return bytes;
}

// Held packets, and the ids of those that had to be dropped, in order.
class Store {
 public:
  explicit Store(const HeldLimits& limits = {}) : held(limits) {}

  // What is held has no use for the original bytes, so they are gone afterwards.
  void hold(std::uint64_t datagram, std::uint32_t id, NamespaceId namespace_id = 1, Time now = {},
            std::size_t size = 100) {
    Bytes bytes = bytes_of(id, size);
    hold_as(datagram, {.id = id, .hook = 4, .fwmark = namespace_id, .bytes = bytes}, namespace_id,
            now);
    std::ranges::fill(bytes, std::uint8_t{0xee});
  }
  void hold_as(std::uint64_t datagram, const QueuedPacket& queued, NamespaceId namespace_id,
               Time now) {
    held.hold(datagram, queued, namespace_id, now, drop);
  }
  void expire(Time now) { held.expire(now, drop); }
  void drain() { held.drain(drop); }

  // The ids of what is released, whose bytes must be as they were.
  Ids take_released() {
    Ids ids;
    while (const auto queued = held.next_released()) {
      CHECK(std::ranges::equal(queued->bytes, bytes_of(queued->id, queued->bytes.size())));
      ids.push_back(queued->id);
    }
    return ids;
  }
  Ids release(std::uint64_t datagram) {
    held.release(datagram);
    return take_released();
  }

  HeldFragments held;
  Ids dropped;
  std::function<void(std::uint32_t)> drop = [this](std::uint32_t id) { dropped.push_back(id); };
};

}  // namespace

TEST_CASE("held fragments: what waited for a datagram comes out in order, and nothing else") {
  Store store;
  for (std::uint32_t id = 1; id <= 9; ++id) store.hold(id % 3, id);
  CHECK_EQ(store.held.count(), 9);
  CHECK_EQ(store.release(7), Ids{});
  CHECK_EQ(store.release(1), Ids{1, 4, 7});
  CHECK_EQ(store.release(1), Ids{});
  CHECK_EQ(store.release(0), Ids{3, 6, 9});
  CHECK_EQ(store.held.count(), 3);
  CHECK_EQ(store.dropped, Ids{});
}

TEST_CASE("held fragments: a packet comes out as it went in, with room behind its bytes") {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1500}, std::size_t{65'535}}) {
    Store store;
    Bytes bytes = bytes_of(5, size);
    store.hold_as(9,
                  {.id = 5,
                   .hook = 3,
                   .fwmark = 0xab01,
                   .skb_info = 2,
                   .captured_from = 70'000,
                   .bytes = bytes},
                  1, Time(0));
    store.held.release(9);
    const auto queued = store.held.next_released();
    REQUIRE(queued.has_value());
    CHECK_EQ(queued->id, 5);
    CHECK_EQ(queued->hook, 3);
    CHECK_EQ(queued->fwmark, 0xab01);
    CHECK_EQ(queued->skb_info, 2);
    CHECK_EQ(queued->captured_from, 70'000);
    CHECK_NE(queued->bytes.data(), bytes.data());
    CHECK(std::ranges::equal(queued->bytes, bytes));
    std::ranges::fill(std::span(queued->bytes.data(), size + 3), std::uint8_t{1});
    CHECK_EQ(store.held.count(), 0);
  }
}

TEST_CASE("held fragments: what is written behind a packet meets no other's bytes") {
  Store store({.outside = 1, .namespaces = 8, .per_namespace = 8, .bytes = 101});
  for (std::uint32_t id = 0; id < 8; ++id) store.hold(1, id, 1, Time(0), 101);
  store.held.release(1);
  std::vector<QueuedPacket> given;
  while (const auto queued = store.held.next_released()) given.push_back(*queued);
  REQUIRE_EQ(given.size(), 8);
  for (const QueuedPacket& queued : given) {
    std::ranges::fill(std::span(queued.bytes.data() + queued.bytes.size(), 3), std::uint8_t{0xdd});
  }
  for (const QueuedPacket& queued : given) {
    CHECK(std::ranges::equal(queued.bytes, bytes_of(queued.id, 101)));
  }
}

TEST_CASE("held fragments: a packet waits for its time and no longer") {
  Store store;
  store.hold(1, 1, 1, Time(5000));
  store.hold(2, 2, 0, Time(5001));
  store.hold(3, 3, 2, Time(5002));
  store.expire(Time(5999));
  CHECK_EQ(store.dropped, Ids{});
  store.expire(Time(6000));
  CHECK_EQ(store.dropped, Ids{1});
  CHECK_EQ(store.release(1), Ids{});
  store.expire(Time(1'000'000));
  CHECK_EQ(store.dropped, Ids{1, 2, 3});
  CHECK_EQ(store.held.count(), 0);
}

TEST_CASE("held fragments: a released packet that nobody asks for is dropped in its time too") {
  Store store;
  store.hold(1, 1, 1, Time(0));
  store.held.release(1);
  CHECK_EQ(store.held.count(), 1);
  store.expire(Time(1000));
  CHECK_EQ(store.dropped, Ids{1});
  CHECK_EQ(store.take_released(), Ids{});
}

TEST_CASE("held fragments: a flood costs its namespace's own oldest, and nobody else anything") {
  Store store({.outside = 20, .namespaces = 100, .per_namespace = 10, .bytes = 2000});
  for (std::uint32_t id = 1; id <= 8; ++id) store.hold(1, id, 1);
  for (std::uint32_t id = 11; id <= 28; ++id) store.hold(2, id, 0);
  for (std::uint32_t id = 100; id < 5100; ++id) store.hold(id % 7 == 0 ? 1 : id, id, 3);
  CHECK_EQ(store.held.count(), 8 + 18 + 10);
  REQUIRE_EQ(store.dropped.size(), 4990);
  for (std::uint32_t i = 0; i < 4990; ++i) CHECK_EQ(store.dropped[i], 100 + i);
  CHECK_EQ(store.release(2).size(), 18);
  const Ids released = store.release(1);
  CHECK(std::ranges::equal(std::span(released).first(8), Ids{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_CASE("held fragments: outside and namespaces cost each other nothing") {
  Store store({.outside = 20, .namespaces = 30, .per_namespace = 10, .bytes = 2000});
  for (std::uint32_t id = 0; id < 20; ++id) store.hold(1, id, 0);
  for (std::uint32_t id = 1000; id < 2000; ++id) store.hold(2, id, 1 + id % 100);
  CHECK_EQ(store.held.count(), 50);
  CHECK_EQ(store.dropped.size(), 970);
  for (std::uint32_t id = 3000; id < 4000; ++id) store.hold(3, id, 0);
  CHECK_EQ(store.release(2).size(), 30);
  CHECK_EQ(store.release(3).size(), 20);
}

TEST_CASE("held fragments: when all is full, floods take from each other, not from the modest") {
  Store store({.outside = 1, .namespaces = 40, .per_namespace = 30, .bytes = 2000});
  for (std::uint32_t id = 1; id <= 5; ++id) store.hold(1, id, 1);
  for (std::uint32_t id = 100; id < 1000; ++id) store.hold(2, id, 2 + id % 5);
  CHECK_EQ(store.release(1), Ids{1, 2, 3, 4, 5});
  CHECK_EQ(store.release(2).size(), 35);
}

TEST_CASE("held fragments: what is too long is dropped and costs nobody a place") {
  Store store({.outside = 1, .namespaces = 1, .per_namespace = 1, .bytes = 1500});
  store.hold(1, 1, 1, Time(0), 1500);
  store.hold(1, 2, 1, Time(0), 1501);
  CHECK_EQ(store.dropped, Ids{2});
  CHECK_EQ(store.release(1), Ids{1});
}

TEST_CASE("held fragments: what comes again after its release is dropped") {
  Store store;
  store.hold(1, 1);
  store.hold(1, 2);
  store.held.release(1);
  const auto queued = store.held.next_released();
  REQUIRE(queued.has_value());
  store.hold_as(1, *queued, 1, Time(0));
  CHECK_EQ(store.dropped, Ids{1});
  CHECK_EQ(store.take_released(), Ids{2});
}

TEST_CASE("held fragments: bytes that were given out stay until they are recycled") {
  constexpr HeldLimits limits{.outside = 1, .namespaces = 8, .per_namespace = 8, .bytes = 200};
  Store store(limits);
  std::vector<QueuedPacket> given;
  for (std::uint32_t id = 0; id < 8; ++id) store.hold(1, id);
  for (std::uint32_t id = 8; id < 200 && store.dropped.empty(); ++id) {
    store.held.release(1);
    while (const auto queued = store.held.next_released()) given.push_back(*queued);
    store.hold(1, id);
  }
  CHECK_EQ(store.dropped.size(), 1);
  // Until no place was left: the limits' and the spare ones.
  CHECK_EQ(given.size(), 1 + 8 + HeldFragments::spare);
  for (const QueuedPacket& queued : given) {
    CHECK(std::ranges::equal(queued.bytes, bytes_of(queued.id)));
  }
  store.held.recycle();
  store.dropped.clear();
  for (std::uint32_t id = 500; id < 508; ++id) store.hold(1, id);
  CHECK_EQ(store.release(1).size(), 8);
  CHECK_EQ(store.dropped, Ids{});
}

TEST_CASE("held fragments: all within the limits are kept beside a batch that was given out") {
  constexpr HeldLimits limits{.outside = 16, .namespaces = 16, .per_namespace = 16, .bytes = 200};
  Store store(limits);
  for (std::uint32_t id = 0; id < 16; ++id) store.hold(1, id, 0);
  for (std::uint32_t id = 16; id < 32; ++id) store.hold(1, id, 1);
  CHECK_EQ(store.release(1).size(), 32);
  for (std::uint32_t id = 100; id < 100 + HeldFragments::spare; ++id) store.hold(2, id, id % 2);
  CHECK_EQ(store.release(2).size(), 32);
}

TEST_CASE("held fragments: drain drops all that is owed, abandon tells how many nobody drops") {
  for (const bool drains : {true, false}) {
    Store store;
    for (std::uint32_t id = 0; id < 10; ++id) store.hold(id % 2, id, id % 3);
    store.held.release(1);
    const auto given = store.held.next_released();
    REQUIRE(given.has_value());
    CHECK_EQ(given->id, 1);
    if (drains) {
      store.drain();
      std::ranges::sort(store.dropped);
      CHECK_EQ(store.dropped, Ids{0, 2, 3, 4, 5, 6, 7, 8, 9});
    } else {
      CHECK_EQ(store.held.abandon(), 9);
      CHECK_EQ(store.dropped, Ids{});
    }
    CHECK_EQ(store.held.count(), 0);
    CHECK_EQ(store.take_released(), Ids{});
    store.expire(Time(1'000'000));
    CHECK(std::ranges::equal(given->bytes, bytes_of(1)));
    store.held.recycle();
    store.hold(1, 77);
    CHECK_EQ(store.release(1), Ids{77});
  }
}

namespace {

// Holds, releases, drops and clocks at random, beside what must happen: every packet leaves once,
// and those leave that the rules name.
class Ledger {
 public:
  Ledger(const HeldLimits& limits, std::uint32_t seed)
      : store_(limits),
        random_(seed),
        outside_({limits.outside, limits.outside}),
        namespaces_({limits.namespaces, limits.per_namespace}) {}

  void step() {
    now_ += Time(random_.below(20));
    store_.dropped.clear();
    switch (random_.below(16)) {
      case 0:
      case 1:
        release(random_.below(12));
        break;
      case 2:
        expire();
        break;
      case 3:
        check_given();
        store_.held.recycle();
        given_.clear();
        break;
      default:
        if (given_.size() < HeldFragments::spare) hold();
    }
    REQUIRE_EQ(store_.held.count(), waiting_.size());
  }

  void finish() {
    store_.dropped.clear();
    store_.drain();
    std::ranges::sort(store_.dropped);
    Ids left;
    for (const auto& [id, packet] : waiting_) left.push_back(id);
    CHECK_EQ(store_.dropped, left);
  }

 private:
  struct Waiting {
    std::uint64_t datagram;
    NamespaceId namespace_id;
    Time since;
  };

  NaiveShares<std::uint32_t>& side(NamespaceId id) { return id == 0 ? outside_ : namespaces_; }

  void leaves(std::uint32_t id) {
    side(waiting_.at(id).namespace_id).remove(id);
    waiting_.erase(id);
  }

  void hold() {
    const NamespaceId sender = random_.below(random_.one_in(2) ? 5 : 2);
    const std::uint64_t datagram = random_.below(12);
    Ids must_drop;
    if (const auto displaced = side(sender).displaced_by(sender)) must_drop.push_back(*displaced);
    const std::uint32_t id = next_id_++;
    store_.hold(datagram, id, sender, now_, 1 + random_.below(300));
    REQUIRE_EQ(store_.dropped, must_drop);
    for (const std::uint32_t dropped : must_drop) leaves(dropped);
    waiting_[id] = {datagram, sender, now_};
    side(sender).add(id, sender);
  }

  void release(std::uint64_t datagram) {
    store_.held.release(datagram);
    Ids expected;
    for (const auto& [id, packet] : waiting_) {
      if (packet.datagram == datagram) expected.push_back(id);  // ids rise with time
    }
    for (const std::uint32_t id : expected) {
      const auto queued = store_.held.next_released();
      REQUIRE(queued.has_value());
      REQUIRE_EQ(queued->id, id);
      given_.push_back(*queued);
      leaves(id);
    }
    REQUIRE_FALSE(store_.held.next_released().has_value());
  }

  void expire() {
    store_.expire(now_);
    std::ranges::sort(store_.dropped);
    Ids expected;
    for (const auto& [id, packet] : waiting_) {
      if (now_ - packet.since >= HeldFragments::longest) expected.push_back(id);
    }
    REQUIRE_EQ(store_.dropped, expected);
    for (const std::uint32_t id : expected) leaves(id);
  }

  void check_given() {
    for (const QueuedPacket& queued : given_) {
      REQUIRE(std::ranges::equal(queued.bytes, bytes_of(queued.id, queued.bytes.size())));
    }
  }

  Store store_;
  Dice random_;
  Time now_{1'000};
  std::uint32_t next_id_ = 0;
  std::map<std::uint32_t, Waiting> waiting_;
  std::vector<QueuedPacket> given_;
  NaiveShares<std::uint32_t> outside_;
  NaiveShares<std::uint32_t> namespaces_;
};

}  // namespace

TEST_CASE("held fragments: at random, every packet leaves exactly once and as the rules say") {
  constexpr HeldLimits limits[] = {
      {.outside = 8, .namespaces = 16, .per_namespace = 6, .bytes = 300},
      {.outside = 1, .namespaces = 1, .per_namespace = 1, .bytes = 300},
      {.outside = 100, .namespaces = 100, .per_namespace = 200, .bytes = 300},
  };
  for (const HeldLimits& limit : limits) {
    CAPTURE(limit.namespaces);
    Ledger ledger(limit, limit.namespaces);
    for (int i = 0; i < 20'000; ++i) ledger.step();
    ledger.finish();
  }
}
