#include "engine/fragments/fragment_table.h"

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "engine/wire/family.h"
#include "tests/support/dice.h"
#include "tests/support/naive_shares.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr Secret secret{0x243f'6a88'85a3'08d3, 0x1319'8a2e'0370'7344, 0xa409'3822'299f'31d0,
                        0x082e'fa98'ec4e'6c89};

// Addresses as wide as IPv6's.
struct Wide {
  struct Address {
    std::array<std::uint8_t, 16> octets{};
    friend bool operator==(const Address&, const Address&) = default;
  };
};

template <class Family>
typename Family::Address address(std::uint32_t number);
template <>
Ipv4Address address<Ipv4>(std::uint32_t number) {
  return Ipv4Address::from_host(0x0a00'0000 + number);
}
template <>
Wide::Address address<Wide>(std::uint32_t number) {
  Wide::Address address;
  std::memcpy(&address.octets[12], &number, sizeof number);
  return address;
}

template <class Family>
DatagramKey<Family> key_of(NamespaceId id, std::uint32_t identification) {
  return {id, address<Family>(2), address<Family>(9), identification, protocol::udp};
}

// A fate that can be told from others.
template <class Family>
DatagramFate<Family> fate_of(std::uint32_t number) {
  return {
      Reason::translated_outbound, address<Family>(number), address<Family>(9), number, 0, 7, 8};
}

using Table = FragmentTable<Ipv4>;

DatagramKey<Ipv4> key(NamespaceId id, std::uint32_t identification) {
  return key_of<Ipv4>(id, identification);
}

// The number of the fate that is found.
template <class Family>
std::optional<std::uint32_t> number_of(const DatagramFate<Family>* fate) {
  return fate == nullptr ? std::nullopt : std::optional(fate->identification);
}

std::uint32_t living(Table& table, NamespaceId id, std::uint32_t first, std::uint32_t last,
                     Tick now) {
  std::uint32_t count = 0;
  for (std::uint32_t i = first; i <= last; ++i) count += table.find(key(id, i), now) ? 1U : 0U;
  return count;
}

}  // namespace

TEST_CASE("fragment table: the fate is found by all that the fragments have in common") {
  Table table({}, secret);
  const DatagramKey<Ipv4> datagram{1, Ipv4Address::of(10, 0, 0, 2), Ipv4Address::of(192, 0, 2, 1),
                                   77, protocol::udp};
  const DatagramFate<Ipv4> fate{Reason::filtered,
                                Ipv4Address::of(203, 0, 113, 1),
                                Ipv4Address::of(192, 0, 2, 9),
                                5,
                                3,
                                1234,
                                80};
  CHECK_EQ(table.find(datagram, 1000), nullptr);
  table.remember(datagram, fate, 1000);
  const DatagramFate<Ipv4>* found = table.find(datagram, 1000);
  REQUIRE_NE(found, nullptr);
  CHECK_EQ(found->reason, fate.reason);
  CHECK_EQ(found->source, fate.source);
  CHECK_EQ(found->destination, fate.destination);
  CHECK_EQ(found->identification, fate.identification);
  CHECK_EQ(found->receiver, fate.receiver);
  CHECK_EQ(found->source_port, fate.source_port);
  CHECK_EQ(found->destination_port, fate.destination_port);
  CHECK_EQ(table.count(), 1);

  const std::function<void(DatagramKey<Ipv4>&)> changes[] = {
      [](auto& k) { k.namespace_id = 2; },
      [](auto& k) { k.namespace_id = 0; },
      [](auto& k) { k.source.wire ^= 0x0100'0000; },
      [](auto& k) { k.destination.wire ^= 1; },
      [](auto& k) { std::swap(k.source, k.destination); },
      [](auto& k) { k.identification = 78; },
      [](auto& k) { k.identification = 77 | 0x10000; },
      [](auto& k) { k.protocol = protocol::tcp; },
  };
  for (const auto& change : changes) {
    DatagramKey<Ipv4> other = datagram;
    change(other);
    CHECK_EQ(table.find(other, 1000), nullptr);
    CHECK_NE(other.hash(secret), datagram.hash(secret));
  }
}

TEST_CASE("fragment table: every bit of wide addresses counts") {
  FragmentTable<Wide> table({}, secret);
  const DatagramKey<Wide> datagram = key_of<Wide>(1, 77);
  table.remember(datagram, fate_of<Wide>(1), 0);
  for (std::size_t bit = 0; bit < 128; ++bit) {
    for (auto field : {&DatagramKey<Wide>::source, &DatagramKey<Wide>::destination}) {
      DatagramKey<Wide> other = datagram;
      (other.*field).octets[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      CHECK_EQ(table.find(other, 0), nullptr);
      CHECK_NE(other.hash(secret), datagram.hash(secret));
    }
  }
  CHECK_EQ(number_of(table.find(datagram, 0)), 1);
}

TEST_CASE("fragment table: tenants with the same addresses and identification never meet") {
  Table table({}, secret);
  for (NamespaceId id = 0; id < 100; ++id) table.remember(key(id, 1), fate_of<Ipv4>(id), 5);
  for (NamespaceId id = 0; id < 100; ++id) CHECK_EQ(number_of(table.find(key(id, 1), 5)), id);
}

TEST_CASE("fragment table: a later first fragment's fate replaces the earlier one's") {
  Table table({}, secret);
  table.remember(key(1, 1), fate_of<Ipv4>(1), 0);
  table.remember(key(1, 1), fate_of<Ipv4>(2), 14'999);
  CHECK_EQ(number_of(table.find(key(1, 1), 29'998)), 2);
  CHECK_EQ(table.count(), 1);
}

TEST_CASE("fragment table: a fate lives for its time after the last fragment, at any tick") {
  constexpr Tick life = ipv4_datagram_lifetime;
  for (const Tick start : {Tick{0}, Tick{12'345}, Tick{0} - life, Tick{0} - 1, Tick{0x7fff'ffff}}) {
    CAPTURE(start);
    for (const Tick gap : {Tick{0}, Tick{1}, life - 1}) {
      Table table({}, secret);
      table.remember(key(1, 1), fate_of<Ipv4>(1), start);
      CHECK_NE(table.find(key(1, 1), start + gap), nullptr);
      CHECK_NE(table.find(key(1, 1), start + gap + life - 1), nullptr);
      CHECK_EQ(table.find(key(1, 1), start + gap + 2 * life - 1), nullptr);
      CHECK_EQ(table.count(), 0);
    }
    for (const Tick gap : {life, life + 1, Tick{0x7fff'ffff}, Tick{0x8000'0000}, Tick{0x8000'0001},
                           Tick{0xff00'0000}}) {
      Table table({}, secret);
      table.remember(key(1, 1), fate_of<Ipv4>(1), start);
      CHECK_EQ(table.find(key(1, 1), start + gap), nullptr);
      CHECK_EQ(table.find(key(1, 1), start), nullptr);
    }
  }
}

TEST_CASE("fragment table: a clock that is a little behind neither hides nor ages a fate") {
  Table table({}, secret);
  table.remember(key(1, 1), fate_of<Ipv4>(1), 100);
  CHECK_NE(table.find(key(1, 1), 95), nullptr);
  CHECK_NE(table.find(key(1, 1), Tick{0} - 50), nullptr);
  CHECK_NE(table.find(key(1, 1), 100 + ipv4_datagram_lifetime - 1), nullptr);
}

TEST_CASE("fragment table: what is over is freed, no more of it than was asked for") {
  Table table({}, secret);
  for (std::uint32_t i = 0; i < 10; ++i) {
    table.remember(key(i % 3, i), fate_of<Ipv4>(i), 0xffff'fff0 + i * 10);
  }
  CHECK_EQ(table.expire(0xffff'fff0 + ipv4_datagram_lifetime - 1, 100), 0);
  const Tick later = 0xffff'fff0 + ipv4_datagram_lifetime + 50;
  CHECK_EQ(table.expire(later, 4), 4);
  CHECK_EQ(table.expire(later, 4), 2);
  CHECK_EQ(table.count(), 4);
  for (std::uint32_t i = 6; i < 10; ++i) CHECK_NE(table.find(key(i % 3, i), later), nullptr);
  CHECK_EQ(table.expire(later + ipv4_datagram_lifetime, 100), 4);
}

TEST_CASE("fragment table: a flood costs its namespace's own oldest, and nobody else anything") {
  Table table({.outside = 50, .namespaces = 100, .per_namespace = 20}, secret);
  for (NamespaceId id = 0; id < 4; ++id) {
    for (std::uint32_t i = 0; i < 15; ++i) table.remember(key(id, i), fate_of<Ipv4>(i), 0);
  }
  for (std::uint32_t i = 100; i < 100'000; ++i) table.remember(key(7, i), fate_of<Ipv4>(i), 1);
  CHECK_EQ(living(table, 7, 99'980, 99'999, 2), 20);
  CHECK_EQ(living(table, 7, 99'900, 99'979, 2), 0);
  for (NamespaceId id = 0; id < 4; ++id) CHECK_EQ(living(table, id, 0, 14, 2), 15);
}

TEST_CASE("fragment table: what is asked for again is not a namespace's oldest") {
  Table table({.outside = 1, .namespaces = 100, .per_namespace = 3}, secret);
  for (std::uint32_t i = 0; i < 3; ++i) table.remember(key(1, i), fate_of<Ipv4>(i), 0);
  CHECK_NE(table.find(key(1, 0), 1), nullptr);
  table.remember(key(1, 3), fate_of<Ipv4>(3), 1);
  CHECK_NE(table.find(key(1, 0), 1), nullptr);
  CHECK_EQ(table.find(key(1, 1), 1), nullptr);
}

TEST_CASE("fragment table: outside and namespaces cost each other nothing") {
  Table table({.outside = 30, .namespaces = 40, .per_namespace = 10}, secret);
  for (std::uint32_t i = 0; i < 30; ++i) table.remember(key(0, i), fate_of<Ipv4>(i), 0);
  for (NamespaceId id = 1; id < 1000; ++id) {
    for (std::uint32_t i = 0; i < 10; ++i) table.remember(key(id, i), fate_of<Ipv4>(i), 0);
  }
  CHECK_EQ(table.count(), 70);
  CHECK_EQ(living(table, 0, 0, 29, 0), 30);
  // More namespaces than places: whoever came last has one.
  CHECK_EQ(living(table, 999, 9, 9, 0), 1);
  for (std::uint32_t i = 100; i < 1000; ++i) table.remember(key(0, i), fate_of<Ipv4>(i), 0);
  CHECK_EQ(living(table, 999, 9, 9, 0), 1);
  CHECK_EQ(table.count(), 70);
  CHECK_EQ(living(table, 0, 970, 999, 0), 30);
}

TEST_CASE("fragment table: when all is full, floods take from each other, not from the modest") {
  Table table({.outside = 1, .namespaces = 100, .per_namespace = 60}, secret);
  for (std::uint32_t i = 0; i < 10; ++i) table.remember(key(1, i), fate_of<Ipv4>(i), 0);
  for (std::uint32_t i = 0; i < 5000; ++i) {
    for (NamespaceId id = 2; id < 8; ++id) table.remember(key(id, i), fate_of<Ipv4>(i), 1);
  }
  CHECK_EQ(living(table, 1, 0, 9, 2), 10);
  for (NamespaceId id = 2; id < 8; ++id) CHECK_EQ(living(table, id, 4985, 4999, 2), 15);
}

TEST_CASE("fragment table: what is over makes room before what lives") {
  Table table({.outside = 1, .namespaces = 10, .per_namespace = 8}, secret);
  for (std::uint32_t i = 0; i < 4; ++i) table.remember(key(1, i), fate_of<Ipv4>(i), 0);
  const Tick later = ipv4_datagram_lifetime;
  for (std::uint32_t i = 0; i < 6; ++i) table.remember(key(2, i), fate_of<Ipv4>(i), later - 1);
  for (std::uint32_t i = 0; i < 4; ++i) table.remember(key(3, i), fate_of<Ipv4>(i), later);
  CHECK_EQ(living(table, 2, 0, 5, later), 6);
  CHECK_EQ(living(table, 3, 0, 3, later), 4);
  CHECK_EQ(table.count(), 10);
}

namespace {

// The same promises, kept with plain containers.
template <class Family>
class Model {
 public:
  using Key = DatagramKey<Family>;

  explicit Model(const FragmentLimits& limits)
      : limits_(limits),
        outside_({limits.outside, limits.outside}),
        namespaces_({limits.namespaces, limits.per_namespace}) {}

  std::optional<std::uint32_t> find(const Key& key, Tick now) {
    const auto entry = find_entry(key);
    if (entry == entries_.end()) return std::nullopt;
    if (is_over(*entry, now)) {
      forget(key);
      return std::nullopt;
    }
    entry->last_asked = now;
    side(key).renew(key);
    return entry->number;
  }

  void remember(const Key& key, std::uint32_t number, Tick now) {
    if (find_entry(key) != entries_.end()) {
      side(key).renew(key);
      *find_entry(key) = {key, number, now};
      return;
    }
    const auto oldest = side(key).oldest();
    if (oldest && is_over(*find_entry(*oldest), now)) forget(*oldest);
    if (const auto displaced = side(key).displaced_by(key.namespace_id)) forget(*displaced);
    entries_.push_back({key, number, now});
    side(key).add(key, key.namespace_id);
  }

  std::size_t count() const { return entries_.size(); }

 private:
  struct Entry {
    Key key;
    std::uint32_t number;
    Tick last_asked;
  };

  auto find_entry(const Key& key) { return std::ranges::find(entries_, key, &Entry::key); }
  bool is_over(const Entry& entry, Tick now) const {
    return elapsed(entry.last_asked, now) >= static_cast<std::int32_t>(limits_.lifetime);
  }
  NaiveShares<Key>& side(const Key& key) { return key.namespace_id == 0 ? outside_ : namespaces_; }
  void forget(const Key& key) {
    side(key).remove(key);
    entries_.erase(find_entry(key));
  }

  FragmentLimits limits_;
  std::vector<Entry> entries_;
  NaiveShares<Key> outside_;
  NaiveShares<Key> namespaces_;
};

template <class Family>
void check_random_operations(const FragmentLimits& limits, Tick start) {
  FragmentTable<Family> table(limits, secret);
  Model<Family> model(limits);
  Dice random(start + limits.namespaces);
  Tick now = start;
  for (std::uint32_t step = 0; step < 30'000; ++step) {
    if (random.one_in(4)) now += random.below(limits.lifetime / 16);
    if (random.one_in(1000)) now += random.below(3 * limits.lifetime);
    DatagramKey<Family> datagram = key_of<Family>(random.below(random.one_in(2) ? 6 : 2),
                                                  random.below(random.one_in(8) ? 1000 : 24));
    datagram.source = address<Family>(random.below(2));
    if (random.one_in(2)) {
      table.remember(datagram, fate_of<Family>(step), now);
      model.remember(datagram, step, now);
    } else {
      REQUIRE_EQ(number_of(table.find(datagram, now)), model.find(datagram, now));
    }
    REQUIRE_EQ(table.count(), model.count());
  }
}

}  // namespace

TEST_CASE_TEMPLATE("fragment table: random operations agree with plain containers", Family, Ipv4,
                   Wide) {
  for (const Tick start : {Tick{0}, Tick{0xffff'0000}, Tick{0x7fff'0000}}) {
    CAPTURE(start);
    check_random_operations<Family>({.outside = 5, .namespaces = 20, .per_namespace = 8}, start);
    check_random_operations<Family>({.outside = 1, .namespaces = 1, .per_namespace = 1}, start);
    check_random_operations<Family>(
        {.outside = 40, .namespaces = 60, .per_namespace = 100, .lifetime = 1000}, start);
  }
}

TEST_CASE("fragment table: without a secret it is slower, not wrong") {
  Table table({.outside = 1, .namespaces = 2000, .per_namespace = 2000}, {});
  for (std::uint32_t i = 0; i < 2000; ++i) table.remember(key(1, i), fate_of<Ipv4>(i), 0);
  CHECK_EQ(living(table, 1, 0, 1999, 0), 2000);
}
