// What a running daemon can take over from a changed configuration, and what that changed.
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"

namespace swnat::nfq {

struct ReloadOutcome {
  std::vector<std::string> faults;   // if there are some, nothing is changed
  std::vector<std::string> changes;  // of the configuration, in words
  bool wants_up = false;             // the kernel's rules for this file differ, too
};

// A line for each key that differs though it is fixed while the daemon runs; none if all is well.
std::vector<std::string> fixed_keys_changed(const rules::Config& running,
                                            const rules::Config& loaded);

// Keys, and namespaces and rules that were added, removed or changed, as in "[timeouts] changed" or
// "[[namespace]] added: green"; nothing if the files say the same. Long lists are cut.
std::vector<std::string> changes_between(const rules::Config& before, const rules::Config& after);

}  // namespace swnat::nfq
