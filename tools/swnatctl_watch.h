// `swnatctl watch`: events as they happen, a line for each.
#pragma once

#include <chrono>
#include <string>

#include "tools/swnatctl_text.h"

namespace swnat::ctl {

// Until Ctrl-C, which ends the program with status 0, or until the daemon ends. Returns the exit
// status then. Throws Error, and Json::exception for what is no answer of the daemon's.
int watch(const std::string& socket, const Json& request, std::chrono::seconds patience,
          bool as_json);

}  // namespace swnat::ctl
