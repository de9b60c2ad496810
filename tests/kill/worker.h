// One thread of a process that will be killed.
#pragma once

#include <span>

#include "swnat/engine.h"
#include "tests/kill/ledger.h"
#include "tests/support/dice.h"

namespace swnat::test {

class Worker {
 public:
  Worker(Engine& engine, Ledger& ledger, const Repertoire& repertoire, std::uint32_t number,
         std::uint32_t seed);

  // Ends what the process before was ending, or had half opened. To be called first.
  void settle();
  // Makes, refreshes, closes or evicts a session, or lets it expire. What is not as it must be is
  // written to the ledger, and ends the process.
  void work();

 private:
  std::int64_t tick();
  bool passed(std::int64_t since, std::int64_t timeout) const;

  void settle(std::span<const Dialogue> dialogues, std::span<Entry> entries);
  void work_roomy();
  void work_crowded();
  void open(const Dialogue& dialogue, Entry& entry, std::int64_t now);
  void refresh(const Dialogue& dialogue, Entry& entry, std::int64_t now);
  void close(const Dialogue& dialogue, Entry& entry, std::int64_t now);
  void expect_over(const Dialogue& dialogue, const Entry& entry, std::int64_t now);
  Entry* victim();

  // The external port, or 0 if it was dropped.
  std::uint16_t send(const Dialogue& dialogue, const Bytes& packet, std::int64_t now);
  // Whether it was let in; then it must be for the dialogue's internal endpoint.
  bool receive(const Dialogue& dialogue, const Bytes& packet, std::uint16_t port, std::int64_t now);
  [[noreturn]] void fail(const Dialogue& dialogue, const char* what);

  Engine& engine_;
  Ledger& ledger_;
  const Repertoire& repertoire_;
  std::span<Entry> roomy_;
  std::span<Entry> crowded_;
  Dice random_;
};

}  // namespace swnat::test
