// The file that added rules are kept in, so that they outlive the daemon, however it ended, as its
// sessions do: beside those, while the machine is not started anew.
//
// What it holds may be of no use. Then it is put aside, renamed to FILE.aside, and the daemon
// starts without added rules; no file keeps it from starting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "nfq/added_rules.h"

namespace swnat::nfq {

class AddedRulesFile {
 public:
  // Larger than the largest that is ever written.
  static constexpr std::size_t largest = 8 * 1024 * 1024;

  // `path`: empty if nothing is to be kept.
  AddedRulesFile(std::string path, std::uint64_t boot);

  // Empty if there are none, or none of use.
  AddedRules read();

  // Now that the daemon has started: puts aside what was of no use. Returns a line that says so, or
  // nothing.
  std::string keep();

  // The whole file at once, or nothing of it (mode 0600). Returns what is wrong; empty if nothing
  // is.
  std::string write(const AddedRules& rules) const;

 private:
  std::string path_;
  std::uint64_t boot_;
  std::string fault_;  // of what was read
};

}  // namespace swnat::nfq
