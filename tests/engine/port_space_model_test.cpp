// Ports taken and given back in any order, against a model, and by several threads.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "engine/ports/port_space.h"
#include "tests/support/port_takers.h"

using namespace swnat;
using namespace swnat::test;

namespace {

// A slow one that is obviously right.
struct Model {
  PortRange range;
  std::uint32_t shards;
  std::map<std::uint16_t, std::uint32_t> taken;  // port to shard
  std::map<std::uint16_t, std::uint64_t> due;

  bool is_free(std::uint16_t port, std::uint64_t now) const {
    const auto resting = due.find(port);
    return is_in(range, port) && !taken.contains(port) &&
           (resting == due.end() || resting->second <= now);
  }

  // How well a port serves: 0 is best.
  int rank(std::uint32_t shard, std::uint16_t like, std::uint16_t port) const {
    if (port == like) return 0;
    return 1 + 2 * (shard_of_port(port, shards) != shard) + (port % 2 != like % 2);
  }

  std::optional<int> best(std::uint32_t shard, std::uint16_t like, std::uint64_t now) const {
    std::optional<int> found;
    for (std::uint32_t port = range.first; port <= range.last; ++port) {
      const auto own = static_cast<std::uint16_t>(port);
      if (!is_free(own, now) || is_well_known(own) != is_well_known(like)) continue;
      const int its = rank(shard, like, own);
      if (!found || its < *found) found = its;
    }
    return found;
  }
};

// A worker that takes and releases for one shard, and sees that nobody else has its ports.
class Tenant {
 public:
  Tenant(PortSpace& space, std::vector<std::atomic<bool>>& in_use, std::uint32_t shard)
      : space_(space), in_use_(in_use), shard_(shard), random_(shard) {}

  void run(int steps, bool fills, Tick now) {
    for (int i = 0; i < steps; ++i) {
      if (own_.empty() || random_() % 10 < (fills ? 8 : 2)) {
        take(now);
      } else {
        release(now);
      }
    }
  }

  void release_all(Tick now) {
    while (!own_.empty()) release(now);
  }

  std::uint64_t wrong() const { return wrong_; }
  std::uint64_t borrowed() const { return borrowed_; }

 private:
  void take(Tick now) {
    const auto like = static_cast<std::uint16_t>(random_());
    std::optional<std::uint16_t> port;
    if (random_() % 16 != 0) {
      port = space_.take(shard_, like, random_(), now);
    } else {
      const auto exact = static_cast<std::uint16_t>(39'990 + random_() % 84);
      if (space_.take_exactly(shard_, exact)) port = exact;
    }
    if (!port) return;
    if (in_use_[*port].exchange(true, std::memory_order_relaxed)) ++wrong_;
    if (space_.shard_of(*port) != shard_) ++wrong_;
    if (shard_of_port(*port, 8) != shard_) ++borrowed_;
    own_.push_back(*port);
  }

  void release(Tick now) {
    std::swap(own_[random_() % own_.size()], own_.back());
    const std::uint16_t port = own_.back();
    own_.pop_back();
    if (space_.shard_of(port) != shard_) ++wrong_;
    if (!in_use_[port].exchange(false, std::memory_order_relaxed)) ++wrong_;
    space_.release(shard_, port, now, random_() % 2 == 0 ? Rest::full : Rest::none);
  }

  PortSpace& space_;
  std::vector<std::atomic<bool>>& in_use_;
  std::uint32_t shard_;
  std::mt19937_64 random_;
  Ports own_;
  std::uint64_t wrong_ = 0;
  std::uint64_t borrowed_ = 0;
};

}  // namespace

TEST_CASE("port_space: takes and releases in any order agree with a model") {
  for (const std::uint32_t shards : {1U, 2U, 16U}) {
    const PortRange range{950, 1205};
    PortSpace space(range, shards, true);
    Model model{range, shards, {}, {}};
    std::mt19937_64 random(shards);
    std::uint64_t now = 0xffff'0000;
    for (int step = 0; step < 20'000; ++step) {
      const bool fills = step % 2000 < 1200;  // alternately nearly full and nearly empty
      now += random() % (fills ? 200 : 2000);
      const auto tick = static_cast<Tick>(now);
      const auto shard = static_cast<std::uint32_t>(random() % shards);
      const auto like = static_cast<std::uint16_t>(900 + random() % 350);
      if (random() % 50 == 0) {
        const bool expected = like != 0 && !model.taken.contains(like);
        REQUIRE_EQ(space.take_exactly(shard, like), expected);
        if (expected) model.taken[like] = shard;
        model.due.erase(like);
      } else if (model.taken.empty() || random() % 10 < (fills ? 7 : 2)) {
        const std::optional<int> best = model.best(shard, like, now);
        const auto port = space.take(shard, like, random(), tick);
        REQUIRE_EQ(port.has_value(), best.has_value());
        if (!port) continue;
        REQUIRE(model.is_free(*port, now));
        REQUIRE_EQ(is_well_known(*port), is_well_known(like));
        REQUIRE_EQ(model.rank(shard, like, *port), *best);
        model.taken[*port] = shard;
        model.due.erase(*port);
      } else {
        auto chosen = model.taken.lower_bound(like);
        if (chosen == model.taken.end()) chosen = model.taken.begin();
        const auto [port, owner] = *chosen;
        REQUIRE_EQ(space.shard_of(port), owner);
        const bool rests = random() % 3 != 0;
        space.release(owner, port, tick, rests ? Rest::full : Rest::none);
        model.taken.erase(chosen);
        if (rests && is_in(range, port)) model.due[port] = now + port_rest;
        REQUIRE_EQ(space.shard_of(port), shard_of_port(port, shards));
      }
    }
  }
}

TEST_CASE("port_space: no port is handed out twice over shards that borrow at once") {
  constexpr std::uint32_t shards = 8;
  constexpr Tick rounds = 1000;
  const PortRange range{40000, 40063};
  PortSpace space(range, shards, true);
  std::vector<std::atomic<bool>> in_use(65'536);
  std::vector<std::unique_ptr<Tenant>> tenants;
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    tenants.push_back(std::make_unique<Tenant>(space, in_use, shard));
  }
  constexpr Tick round_time = port_rest / 4;
  const Tick start = 0xfff0'0000;  // wraps meanwhile
  std::barrier round_begins(4);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t first = 0; first < 4; ++first) {
      threads.emplace_back([&, first] {
        for (Tick round = 0; round < rounds; ++round) {
          round_begins.arrive_and_wait();
          const bool fills = round % 16 < 10;  // more than each one's share, so that they borrow
          for (int turn = 0; turn < 10; ++turn) {
            for (const std::uint32_t shard : {first, first + 4}) {
              tenants[shard]->run(10, fills, start + round * round_time);
            }
          }
        }
      });
    }
  }
  const Tick end = start + rounds * round_time;
  for (const auto& tenant : tenants) {
    CHECK_EQ(tenant->wrong(), 0);
    CHECK_GT(tenant->borrowed(), 0);
    tenant->release_all(end);
  }
  // Nothing was lost.
  CHECK_EQ(take_all(space, 0, 8080, end + port_rest).size(), size_of(range));
  for (std::uint32_t port = 0; port < 65'536; ++port) {
    const auto own = static_cast<std::uint16_t>(port);
    if (!is_in(range, own)) REQUIRE_EQ(space.shard_of(own), shard_of_port(own, shards));
  }
}
