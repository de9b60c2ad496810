// Looks at what a killed process left, through an engine of its own on a copy of the session
// memory, and compares it with the ledger.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "tests/kill/ledger.h"
#include "tests/support/dice.h"

namespace swnat::test {

class Witness {
 public:
  Witness(Ledger& ledger, std::span<const Repertoire> repertoires, std::uint32_t seed);

  // Throws std::runtime_error that says what is wrong. Afterwards the ledger says what is there,
  // also for the sessions that the process was busy with when it died.
  void examine(std::span<const std::byte> memory);

 private:
  struct Known {
    const Dialogue* dialogue;
    Entry* entry;
  };

  std::vector<SessionView> sessions_at(const Engine& engine, Time time) const;
  void examine_counts(const Engine& engine, std::span<const SessionView> all) const;
  void examine_owners(std::span<const SessionView> live) const;
  void examine_answers(Engine& engine, std::span<const SessionView> live) const;
  void examine_fates(std::span<const SessionView> live);
  void examine_fate(const Known& known, const SessionView* view);
  void examine_new_ports(Engine& engine, std::span<const SessionView> live) const;
  void examine_end(Engine& engine) const;
  const Known& known_of(const SessionView& view) const;
  Time now() const { return Time(ledger_.clock); }

  Ledger& ledger_;
  std::unordered_map<std::uint64_t, Known> known_;
  std::vector<Dialogue> newcomers_;
  Dice random_;
};

}  // namespace swnat::test
