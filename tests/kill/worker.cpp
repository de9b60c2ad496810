// Theory of operation
//
// A worker is alone with its namespaces, so it knows what each of its calls must do, also which
// session is evicted. It writes to the ledger what a call is about to do, calls, and writes that it
// is done.
//
// Time is one clock for all workers, which each call moves on. A worker may be delayed between
// taking the time and its call, while others move the clock beyond the timeout of its session and
// free that: `passed` says so, and then either outcome is right.
#include "tests/kill/worker.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "engine/wire/headers.h"

namespace swnat::test {
namespace {

constexpr std::size_t packet_max = 160;
constexpr std::int64_t opening_timeout = 4 * 60 * 1000;  // the default, as tcp_transitory is 0
constexpr std::uint32_t sweep_budget = 8;

struct Copy {
  explicit Copy(const Bytes& packet) : size(packet.size()) {
    std::copy(packet.begin(), packet.end(), bytes.begin());
  }
  std::span<std::uint8_t> span() { return {bytes.data(), size}; }

  std::array<std::uint8_t, packet_max> bytes;
  std::size_t size;
};

}  // namespace

Worker::Worker(Engine& engine, Ledger& ledger, const Repertoire& repertoire, std::uint32_t number,
               std::uint32_t seed)
    : engine_(engine),
      ledger_(ledger),
      repertoire_(repertoire),
      roomy_(std::span(ledger.roomy[number]).first(repertoire.roomy.size())),
      crowded_(std::span(ledger.crowded[number]).first(repertoire.crowded.size())),
      random_(seed) {}

void Worker::work() {
  const std::uint32_t choice = random_.below(8);
  if (choice == 0) {
    const std::uint32_t shard = random_.below(engine_.shard_count());
    engine_.expire(shard, Time(ledger_.clock.load()), sweep_budget);
  } else if (choice < 5) {
    work_roomy();
  } else {
    work_crowded();
  }
}

void Worker::settle() {
  settle(repertoire_.roomy, roomy_);
  settle(repertoire_.crowded, crowded_);
}

void Worker::settle(std::span<const Dialogue> dialogues, std::span<Entry> entries) {
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].fate != Fate::ending) continue;
    send(dialogues[i], dialogues[i].reset, tick());
    entries[i].fate = Fate::absent;
  }
}

void Worker::work_roomy() {
  const std::uint32_t chosen = random_.below(static_cast<std::uint32_t>(roomy_.size()));
  const Dialogue& dialogue = repertoire_.roomy[chosen];
  Entry& entry = roomy_[chosen];
  const std::int64_t now = tick();
  if (entry.fate == Fate::absent) {
    open(dialogue, entry, now);
  } else if (now - entry.active >= dialogue.timeout) {
    entry.fate = Fate::ending;
    expect_over(dialogue, entry, now);
    entry.fate = Fate::absent;
    ++ledger_.deeds.expired;
  } else if (dialogue.protocol == protocol::tcp && random_.one_in(4)) {
    close(dialogue, entry, now);
  } else {
    refresh(dialogue, entry, now);
  }
}

void Worker::work_crowded() {
  const std::uint32_t chosen = random_.below(static_cast<std::uint32_t>(crowded_.size()));
  const Dialogue& dialogue = repertoire_.crowded[chosen];
  Entry& entry = crowded_[chosen];
  const std::int64_t now = tick();
  if (entry.fate == Fate::present) {
    random_.one_in(4) ? close(dialogue, entry, now) : refresh(dialogue, entry, now);
    return;
  }
  Entry* const evicted = victim();
  if (evicted == nullptr) return open(dialogue, entry, now);
  evicted->fate = Fate::ending;
  open(dialogue, entry, now);
  const auto place = static_cast<std::size_t>(evicted - crowded_.data());
  if (random_.one_in(4)) expect_over(repertoire_.crowded[place], *evicted, now);
  evicted->fate = Fate::absent;
  ++ledger_.deeds.evicted;
}

// Whom the next new session in the crowded namespace costs its place: the least recently active, if
// the limit is reached.
Entry* Worker::victim() {
  std::uint32_t count = 0;
  Entry* oldest = nullptr;
  for (Entry& entry : crowded_) {
    if (entry.fate != Fate::present) continue;
    ++count;
    if (oldest == nullptr || entry.active < oldest->active) oldest = &entry;
  }
  return count < crowd_limit ? nullptr : oldest;
}

void Worker::open(const Dialogue& dialogue, Entry& entry, std::int64_t now) {
  entry.next_active = now;
  entry.fate = Fate::opening;
  const std::uint16_t port = send(dialogue, dialogue.opening, now);
  if (port == 0) fail(dialogue, "a session was refused");
  bool is_open = receive(dialogue, dialogue.answer, port, now);
  is_open = is_open && send(dialogue, dialogue.further, now) == port;
  const bool is_tcp = dialogue.protocol == protocol::tcp;
  if (!is_open) {
    if (!passed(now, is_tcp ? opening_timeout : dialogue.timeout)) {
      fail(dialogue, "a new session is not there");
    }
    if (is_tcp) send(dialogue, dialogue.reset, now);
  }
  entry.port = port;
  entry.active = now;
  entry.fate = is_open || !is_tcp ? Fate::present : Fate::absent;
  ++ledger_.deeds.opened;
}

void Worker::refresh(const Dialogue& dialogue, Entry& entry, std::int64_t now) {
  const std::uint16_t port = entry.port;
  entry.next_active = now;
  if (random_.one_in(2)) {
    const std::uint16_t sent_from = send(dialogue, dialogue.further, now);
    if (sent_from != port && !passed(entry.active, dialogue.timeout)) {
      fail(dialogue, "a session has another external port");
    }
    if (sent_from == 0) fail(dialogue, "a session was refused");
    entry.port = sent_from;
  } else if (!receive(dialogue, dialogue.replied, port, now)) {
    if (!passed(entry.active, dialogue.timeout)) fail(dialogue, "an answer was dropped");
    entry.fate = Fate::absent;
    return;
  }
  entry.active = now;
  ++ledger_.deeds.refreshed;
}

void Worker::close(const Dialogue& dialogue, Entry& entry, std::int64_t now) {
  entry.fate = Fate::ending;
  if (send(dialogue, dialogue.reset, now) != entry.port)
    fail(dialogue, "a reset was not passed on");
  if (random_.one_in(4)) expect_over(dialogue, entry, now);
  entry.fate = Fate::absent;
  ++ledger_.deeds.closed;
}

void Worker::expect_over(const Dialogue& dialogue, const Entry& entry, std::int64_t now) {
  if (receive(dialogue, dialogue.replied, entry.port, now)) {
    fail(dialogue, "an ended session goes on");
  }
}

std::int64_t Worker::tick() {
  const std::int64_t step = random_.one_in(32) ? 1 + random_.below(40) : 1;
  return ledger_.clock.fetch_add(step) + step;
}

bool Worker::passed(std::int64_t since, std::int64_t timeout) const {
  return ledger_.clock - since >= timeout;
}

std::uint16_t Worker::send(const Dialogue& dialogue, const Bytes& packet, std::int64_t now) {
  Copy copy(packet);
  const Reason reason = engine_.outbound(copy.span(), dialogue.namespace_id, Time(now)).reason;
  return verdict_of(reason) == Verdict::accept ? source_port_of(copy.span()) : std::uint16_t{0};
}

bool Worker::receive(const Dialogue& dialogue, const Bytes& packet, std::uint16_t port,
                     std::int64_t now) {
  Copy copy(packet);
  set_destination_port(copy.span(), port);
  const Engine::Outcome received = engine_.inbound(copy.span(), Time(now));
  if (verdict_of(received.reason) != Verdict::accept) return false;
  if (received.namespace_id != dialogue.namespace_id ||
      destination_in(copy.span()) != dialogue.internal) {
    fail(dialogue, "an answer reached somebody else");
  }
  return true;
}

void Worker::fail(const Dialogue& dialogue, const char* what) {
  std::snprintf(ledger_.failure.data(), ledger_.failure.size(),
                "%s (namespace %u, protocol %d, port %d)", what, dialogue.namespace_id,
                dialogue.protocol, dialogue.internal.port);
  ledger_.phase = Phase::failed;
  ::_exit(1);
}

}  // namespace swnat::test
