// What a running daemon can take over from a changed configuration.
#pragma once

#include <string>
#include <vector>

#include "rules/config/config.h"

namespace swnat::nfq {

// A line for each key that differs though it is fixed while the daemon runs; none if all is well.
std::vector<std::string> fixed_keys_changed(const rules::Config& running,
                                            const rules::Config& loaded);

}  // namespace swnat::nfq
