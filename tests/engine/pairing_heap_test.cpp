#include "engine/base/pairing_heap.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

#include "tests/support/dice.h"

using namespace swnat;
using namespace swnat::test;

namespace {

struct Node {
  Link brothers;
  Ref first_child;
};

// A heap of numbers that counts what it compares.
class Numbers {
 public:
  explicit Numbers(std::uint32_t capacity) : nodes_(capacity), keys_(capacity) {}

  void insert(Ref ref, std::uint32_t key) {
    keys_[ref] = key;
    root_ = Heap::insert(nodes_, root_, ref, *this);
  }
  void remove(Ref ref) { root_ = Heap::remove(nodes_, root_, ref, *this); }

  bool operator()(Ref a, Ref b) {
    ++compared_;
    return keys_[a] < keys_[b];
  }

  Ref root() const { return root_; }
  std::uint64_t compared() const { return compared_; }

 private:
  using Heap = PairingHeap<&Node::brothers, &Node::first_child>;

  ReservedArray<Node> nodes_;
  std::vector<std::uint32_t> keys_;
  Ref root_ = no_ref;
  std::uint64_t compared_ = 0;
};

constexpr std::uint32_t count = 1 << 16;
constexpr std::uint64_t depth = std::bit_width(count) - 1;

}  // namespace

TEST_CASE("pairing heap: the root is the least, whatever is put in and taken out") {
  constexpr std::uint32_t capacity = 200;
  Numbers heap(capacity);
  std::set<std::pair<std::uint32_t, Ref>> model;
  std::vector<std::uint32_t> keys(capacity);
  std::vector<bool> is_in(capacity, false);
  Dice random(3);
  for (int step = 0; step < 100'000; ++step) {
    const bool fills = step % 2000 < 1000;
    Ref ref = random.below(capacity);
    if (random.one_in(3) && !model.empty()) ref = heap.root();
    if (!is_in[ref]) {
      if (!fills && random.one_in(2)) continue;
      keys[ref] = random.below(100);
      heap.insert(ref, keys[ref]);
      model.emplace(keys[ref], ref);
    } else {
      if (fills && random.one_in(2)) continue;
      heap.remove(ref);
      model.erase({keys[ref], ref});
    }
    is_in[ref] = !is_in[ref];
    REQUIRE_EQ(heap.root() == no_ref, model.empty());
    if (model.empty()) continue;
    REQUIRE(is_in[heap.root()]);
    REQUIRE_EQ(keys[heap.root()], model.begin()->first);
  }
}

TEST_CASE("pairing heap: costs one comparison to put in, and few to take out") {
  const auto cost_of = [](std::vector<std::uint32_t> keys) {
    Numbers heap(count);
    for (Ref ref = 0; ref < count; ++ref) heap.insert(ref, keys[ref]);
    REQUIRE_LT(heap.compared(), count);
    // One after the other, and each second one goes back behind all others.
    for (std::uint32_t i = 0; i < count; ++i) {
      const Ref ref = heap.root();
      REQUIRE_EQ(keys[ref], i);
      heap.remove(ref);
      if (i % 2 == 0) heap.insert(ref, keys[ref] = count + i / 2);
    }
    return heap.compared();
  };
  std::vector<std::uint32_t> keys(count);
  std::iota(keys.begin(), keys.end(), 0);
  CHECK_LT(cost_of(keys), 2 * count * depth);
  std::reverse(keys.begin(), keys.end());
  CHECK_LT(cost_of(keys), 2 * count * depth);
  Dice random(9);
  for (std::uint32_t i = count; i > 1; --i) std::swap(keys[i - 1], keys[random.below(i)]);
  CHECK_LT(cost_of(keys), 2 * count * depth);
}

TEST_CASE("pairing heap: those inside are taken out as cheaply") {
  Numbers heap(count);
  Dice random(5);
  for (Ref ref = 0; ref < count; ++ref) heap.insert(ref, random());
  for (std::uint32_t i = 0; i < 2 * count; ++i) {
    const Ref ref = random.below(count);
    heap.remove(ref);
    heap.insert(ref, random());
  }
  CHECK_LT(heap.compared(), 2 * count * depth);
}
