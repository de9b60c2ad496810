// Several threads on one engine.
#include <doctest/doctest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/gateway.h"

using namespace swnat;
using namespace swnat::test;

namespace {

constexpr std::uint32_t shards = 4;
constexpr std::uint32_t workers = 4;
constexpr std::uint32_t rounds = 400;
constexpr std::uint32_t batch = 24;
constexpr NamespaceId tenants = 6;

// Each worker has remotes of its own, so that an answer to what it sent is for one that it knows,
// whoever else takes over a port in between.
Peer remote_of(std::uint32_t worker, std::uint32_t number) {
  return {Host::of(198, 51, static_cast<std::uint8_t>(worker), static_cast<std::uint8_t>(number)),
          443};
}

Policy policy_of(std::uint32_t limit, NamespaceId last) {
  Policy policy = roomy_policy();
  policy.ports = {40000, 40511};
  policy.timeouts.udp = 200s;
  policy.timeouts.tcp_transitory = 0ms;
  policy.namespaces = {{.first = 1, .last = last, .session_limit = limit, .external = {}}};
  return policy;
}

struct Asked {
  NamespaceId id;
  Peer internal;
};

// A worker's packets and what must be true of them whatever the others do.
class Worker {
 public:
  Worker(Engine& engine, std::atomic<std::int64_t>& clock, std::uint32_t number)
      : engine_(engine), clock_(clock), number_(number), random_(100 + number) {}

  void run() {
    for (std::uint32_t round = 0; round < rounds; ++round) {
      send();
      receive();
    }
  }

  std::uint64_t wrong() const { return wrong_; }
  std::uint64_t answered() const { return answered_; }
  std::uint64_t packets() const { return packets_; }

 private:
  // A second a batch: freed ports rest for some batches, and then come back.
  Time now() { return Time(clock_.fetch_add(1000, std::memory_order_relaxed)); }

  void translate(std::vector<Bytes>& bytes, std::vector<Packet>& packets) {
    for (std::size_t i = 0; i < bytes.size(); ++i) packets[i].bytes = bytes[i];
    engine_.translate(packets, now());
    packets_ += packets.size();
  }

  void send() {
    std::vector<Bytes> bytes;
    std::vector<Packet> packets(batch);
    std::vector<Asked> asked;
    for (Packet& packet : packets) {
      const std::uint8_t protocol = all_protocols[random_.below(3)];
      const Peer internal = at(client, static_cast<std::uint16_t>(1000 + random_.below(64)));
      packet.namespace_id = 1 + random_.below(tenants);
      asked.push_back({packet.namespace_id, internal});
      if (random_.one_in(8)) {
        packet.direction = Direction::hairpin;
        bytes.push_back(udp(internal, {external_host, any_port()}));
      } else {
        bytes.push_back(opening(protocol, internal, remote_of(number_, random_.below(2))));
      }
    }
    translate(bytes, packets);
    answers_.clear();
    for (std::size_t i = 0; i < packets.size(); ++i) {
      if (packets[i].reason != Reason::translated_outbound) continue;
      if (!transport_checksum_is_right(bytes[i])) ++wrong_;
      answers_.push_back(
          answer(protocol_of(bytes[i]), destination_of(bytes[i]), source_of(bytes[i])));
      mine_[{protocol_of(bytes[i]), source_of(bytes[i]).port}].insert(
          {asked[i].id, asked[i].internal.port});
    }
  }

  void receive() {
    std::vector<Packet> packets(answers_.size());
    for (Packet& packet : packets) packet.direction = Direction::inbound;
    std::vector<std::uint16_t> external;
    for (const Bytes& bytes : answers_) external.push_back(destination_of(bytes).port);
    translate(answers_, packets);
    for (std::size_t i = 0; i < packets.size(); ++i) {
      if (packets[i].verdict() != Verdict::accept) continue;
      ++answered_;
      if (!transport_checksum_is_right(answers_[i])) ++wrong_;
      // It reached one that this worker let ask from that external endpoint.
      const auto& owners = mine_[{protocol_of(answers_[i]), external[i]}];
      if (!owners.contains({packets[i].namespace_id, destination_of(answers_[i]).port})) ++wrong_;
    }
  }

  std::uint16_t any_port() { return static_cast<std::uint16_t>(40000 + random_.below(512)); }

  Engine& engine_;
  std::atomic<std::int64_t>& clock_;
  std::uint32_t number_;
  Dice random_;
  std::vector<Bytes> answers_;
  std::map<std::pair<std::uint8_t, std::uint16_t>, std::set<std::pair<NamespaceId, std::uint16_t>>>
      mine_;
  std::uint64_t wrong_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t packets_ = 0;
};

// What an operator's thread does meanwhile.
void disturb(Engine& engine, std::atomic<std::int64_t>& clock, const std::atomic<bool>& over) {
  SessionView page[9];
  for (std::uint32_t i = 0; !over; ++i) {
    const Time now(clock.load(std::memory_order_relaxed));
    const bool few = i % 3 == 0;
    engine.set_policy(
        std::make_shared<const Policy>(policy_of(few ? 10 : 40, few ? tenants - 1 : tenants)), now);
    for (std::uint32_t shard = 0; shard < shards; ++shard) engine.expire(shard, now, 16);
    Engine::Cursor cursor;
    while (engine.sessions(cursor, page, now)) {
    }
    engine.counters();
    engine.namespaces();
    engine.session_count();
    std::this_thread::yield();
  }
}

void check_invariants(Gateway& gateway, std::uint32_t limit) {
  std::uint64_t total = 0;
  for (const NamespaceUse& use : gateway.engine.namespaces()) {
    CHECK_LE(use.sessions, limit);
    total += use.sessions;
  }
  CHECK_EQ(gateway.engine.session_count(), total);
  std::map<std::pair<std::uint8_t, std::uint16_t>, std::set<std::pair<NamespaceId, std::uint16_t>>>
      owners;
  for (const SessionView& view : gateway.sessions()) {
    owners[{view.protocol, view.external.port}].insert({view.namespace_id, view.internal.port});
  }
  for (const auto& [external, internal] : owners) CHECK_EQ(internal.size(), 1);
}

}  // namespace

TEST_CASE("threads: workers on all shards at once, with an operator at work") {
  Gateway gateway(policy_of(40, tenants), options_of(shards, 4096));
  std::atomic<std::int64_t> clock{1'000'000};
  std::atomic<bool> over{false};
  std::vector<Worker> crew;
  for (std::uint32_t number = 0; number < workers; ++number) {
    crew.emplace_back(gateway.engine, clock, number);
  }
  {
    std::jthread operating([&] { disturb(gateway.engine, clock, over); });
    std::vector<std::jthread> threads;
    for (Worker& worker : crew) threads.emplace_back([&worker] { worker.run(); });
    for (std::jthread& thread : threads) thread.join();
    over = true;
  }
  std::uint64_t packets = 0;
  for (const Worker& worker : crew) {
    CHECK_EQ(worker.wrong(), 0);
    CHECK_GT(worker.answered(), 0);
    packets += worker.packets();
  }
  std::uint64_t counted = 0;
  for (const std::uint64_t count : gateway.engine.counters()) counted += count;
  CHECK_EQ(counted, packets);
  gateway.now = Time(clock.load());
  gateway.set_policy(policy_of(40, tenants));
  check_invariants(gateway, 40);
  gateway.set_policy(policy_of(5, tenants));
  check_invariants(gateway, 5);
  // Nothing was lost: in the end every port is free again.
  gateway.travel(3h);
  gateway.expire_all();
  gateway.travel(2min);
  gateway.expire_all();
  CHECK_EQ(gateway.engine.session_count(), 0);
  gateway.set_policy(policy_of(1000, tenants));
  for (std::uint16_t i = 0; i < 512; ++i) {
    gateway.open(protocol::tcp, 1, at(client, static_cast<std::uint16_t>(1000 + i)), server);
  }
}

TEST_CASE("threads: racing shards keep a namespace's limit together") {
  constexpr std::uint32_t limit = 20;
  for (const AtLimit at_limit : {AtLimit::evict_oldest, AtLimit::refuse}) {
    Policy policy = policy_of(limit, 1);
    policy.at_limit = at_limit;
    policy.timeouts.udp = 5min;
    Gateway gateway(policy, options_of(shards, 4096));
    std::vector<std::jthread> threads;
    for (std::uint32_t number = 0; number < workers; ++number) {
      threads.emplace_back([&, number] {
        Dice random(number);
        for (int i = 0; i < 2000; ++i) {
          Bytes packet = udp(at(client, random.word() | 1), server);
          gateway.engine.outbound(packet, 1, gateway.now + Time(i));
        }
      });
    }
    for (std::jthread& thread : threads) thread.join();
    CHECK_EQ(gateway.session_count(1), limit);
    CHECK_EQ(gateway.engine.session_count(), limit);
  }
}

// Whoever calls first ends what is over; nobody's new session may be taken for one of these, and
// none of these for a live one.
TEST_CASE("threads: all wake up together") {
  for (int attempt = 0; attempt < 20; ++attempt) {
    Gateway gateway(roomy_policy(), options_of(shards));
    for (std::uint32_t i = 0; i < 4000; ++i) {
      gateway.open(protocol::udp, blue, at(client, static_cast<std::uint16_t>(1024 + i)), server);
    }
    gateway.travel(30 * 24h);
    std::atomic<std::uint32_t> ready = 0;
    std::vector<std::thread> threads;
    for (std::uint32_t worker = 0; worker < workers; ++worker) {
      threads.emplace_back([&gateway, &ready, worker] {
        const auto port = static_cast<std::uint16_t>(10'000 + 2 * worker);
        Bytes bytes = udp(at(client, port), remote_of(worker, 1));
        ++ready;
        while (ready != workers) std::this_thread::yield();
        gateway.engine.outbound(bytes, green, gateway.now);
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK_EQ(gateway.engine.session_count(), workers);
    CHECK_EQ(gateway.session_count(green), workers);
  }
}
