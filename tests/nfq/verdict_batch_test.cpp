#include "nfq/verdict_batch.h"

#include <doctest/doctest.h>

#include <cerrno>

#include "tests/support/nfq_messages.h"

using namespace swnat::nfq;
using namespace swnat::test;

namespace {

constexpr std::uint16_t queue = 513;

std::uint64_t count(const QueueCounters& counters, QueueCounter counter) {
  return counters.read()[static_cast<std::size_t>(counter)];
}

// Packets with the three bytes behind them that a batch may read.
Bytes roomy(std::size_t size) {
  Bytes bytes = payload_of(size, static_cast<std::uint32_t>(size));
  bytes.reserve(size + 3);
  bytes.insert(bytes.end(), 3, 0xee);
  return bytes;
}

View packet(const Bytes& bytes) {
  return View(bytes).first(bytes.size() - 3);
}

struct Batch {
  QueueCounters counters;
  VerdictBatch verdicts{queue, counters};
  Kernel kernel;
};

}  // namespace

TEST_CASE("verdicts reach the kernel in one datagram, each with exactly its bytes") {
  Batch batch;
  std::vector<Bytes> packets;
  for (std::size_t size = 20; size < 60; ++size) packets.push_back(roomy(size));
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const auto id = static_cast<std::uint32_t>(100 + i);
    if (i % 3 == 0) {
      batch.verdicts.drop(id);
    } else {
      const auto fwmark = i % 3 == 1 ? std::optional(id) : std::nullopt;
      batch.verdicts.accept(id, packet(packets[i]), fwmark);
    }
  }
  CHECK(batch.verdicts.flush(batch.kernel));
  CHECK_EQ(batch.kernel.datagram_sizes.size(), 1u);
  REQUIRE_EQ(batch.kernel.verdicts.size(), packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const SentVerdict& sent = batch.kernel.verdicts[i];
    CHECK_EQ(sent.queue, queue);
    CHECK_EQ(sent.id, 100 + i);
    CHECK_EQ(sent.verdict, i % 3 == 0 ? drop_verdict : accept_verdict);
    CHECK_EQ(sent.fwmark.has_value(), i % 3 == 1);
    REQUIRE_EQ(sent.packet.has_value(), i % 3 != 0);
    if (sent.packet) {
      const View expected = packet(packets[i]);
      CHECK_EQ(*sent.packet, Bytes(expected.begin(), expected.end()));
    }
  }
  CHECK_EQ(count(batch.counters, QueueCounter::accepted), 26u);
  CHECK_EQ(count(batch.counters, QueueCounter::dropped), 14u);
  CHECK(batch.verdicts.flush(batch.kernel));
  CHECK_EQ(batch.kernel.datagram_sizes.size(), 1u);
}

TEST_CASE("what passes goes on with the bytes and the fwmark that it has") {
  Batch batch;
  batch.verdicts.pass(1);
  batch.verdicts.drop(2);
  CHECK(batch.verdicts.flush(batch.kernel));
  batch.kernel.refuses = [](std::size_t, std::size_t verdicts) {
    return verdicts > 1 ? EMSGSIZE : 0;
  };
  batch.verdicts.pass(3);
  batch.verdicts.drop(4);
  CHECK(batch.verdicts.flush(batch.kernel));
  REQUIRE_EQ(batch.kernel.verdicts.size(), 4u);
  for (std::uint32_t i = 0; i < 4; ++i) {
    const auto verdict = i % 2 == 0 ? accept_verdict : drop_verdict;
    CHECK_EQ(batch.kernel.verdicts[i],
             SentVerdict{.queue = queue, .verdict = verdict, .id = i + 1});
  }
  CHECK_EQ(count(batch.counters, QueueCounter::passed), 2u);
  CHECK_EQ(count(batch.counters, QueueCounter::dropped), 2u);
  CHECK_EQ(count(batch.counters, QueueCounter::accepted), 0u);
  batch.kernel.refuses = [](std::size_t, std::size_t) { return EBADF; };
  batch.verdicts.pass(5);
  CHECK_FALSE(batch.verdicts.flush(batch.kernel));
  CHECK_EQ(count(batch.counters, QueueCounter::dropped), 3u);
}

TEST_CASE("a batch is full by count or by bytes, and takes the longest packet") {
  Batch batch;
  for (std::size_t i = 0; i < VerdictBatch::max_verdicts; ++i) {
    CHECK_FALSE(batch.verdicts.is_full(20));
    batch.verdicts.drop(1);
  }
  CHECK(batch.verdicts.is_full(0));
  CHECK(batch.verdicts.flush(batch.kernel));

  const Bytes longest = roomy(65'531);
  std::size_t fitting = 0;
  for (; !batch.verdicts.is_full(65'531); ++fitting) {
    batch.verdicts.accept(7, packet(longest), 1);
  }
  CHECK_EQ(fitting, VerdictBatch::max_bytes / 65'531);
  CHECK(batch.verdicts.flush(batch.kernel));
  CHECK_EQ(batch.kernel.verdicts.back().packet->size(), 65'531u);
}

TEST_CASE("what the kernel refuses together is sent one by one") {
  Batch batch;
  const Bytes bytes = roomy(41);
  batch.kernel.refuses = [](std::size_t, std::size_t verdicts) {
    return verdicts > 1 ? EMSGSIZE : 0;
  };
  batch.verdicts.drop(1);
  batch.verdicts.accept(2, packet(bytes), std::nullopt);
  batch.verdicts.accept(3, packet(bytes), 5);
  CHECK(batch.verdicts.flush(batch.kernel));
  REQUIRE_EQ(batch.kernel.verdicts.size(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) CHECK_EQ(batch.kernel.verdicts[i].id, i + 1);
  CHECK_EQ(batch.kernel.verdicts[2].packet->size(), 41u);
  CHECK_EQ(count(batch.counters, QueueCounter::accepted), 2u);
  CHECK_EQ(count(batch.counters, QueueCounter::dropped), 1u);
  CHECK_EQ(count(batch.counters, QueueCounter::unsent), 0u);
}

TEST_CASE("a translated packet that the kernel has no memory for is dropped") {
  Batch batch;
  const Bytes small = roomy(40);
  const Bytes large = roomy(60'000);
  batch.kernel.refuses = [](std::size_t size, std::size_t) { return size > 1000 ? ENOBUFS : 0; };
  batch.verdicts.accept(1, packet(large), 9);
  batch.verdicts.accept(2, packet(small), std::nullopt);
  CHECK(batch.verdicts.flush(batch.kernel));
  REQUIRE_EQ(batch.kernel.verdicts.size(), 2u);
  CHECK_EQ(batch.kernel.verdicts[0], SentVerdict{.queue = queue, .verdict = drop_verdict, .id = 1});
  CHECK_EQ(batch.kernel.verdicts[1].verdict, accept_verdict);
  CHECK_EQ(count(batch.counters, QueueCounter::accepted), 1u);
  CHECK_EQ(count(batch.counters, QueueCounter::dropped), 1u);
  CHECK_EQ(count(batch.counters, QueueCounter::unsent), 1u);
}

TEST_CASE(
    "verdicts that the kernel refuses altogether are reported, and the batch is empty again") {
  Batch batch;
  const Bytes bytes = roomy(40);
  batch.kernel.refuses = [](std::size_t, std::size_t) { return EBADF; };
  batch.verdicts.accept(1, packet(bytes), std::nullopt);
  batch.verdicts.drop(2);
  CHECK_FALSE(batch.verdicts.flush(batch.kernel));
  CHECK_EQ(count(batch.counters, QueueCounter::dropped), 2u);
  batch.kernel.refuses = nullptr;
  CHECK(batch.verdicts.flush(batch.kernel));
  CHECK(batch.kernel.verdicts.empty());
}
