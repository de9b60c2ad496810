// An event of `swnatctl watch` as a line for people.
#pragma once

#include <string>

#include "tools/swnatctl_text.h"

namespace swnat::ctl {

// What stands above the lines.
inline constexpr const char* event_heads =
    "TIME     EVENT          NAMESPACE PROTOCOL INTERNAL > EXTERNAL > REMOTE CAUSE\n";

// Of what the daemon sends (nfq/event_json.h), with the local time of day. Throws Json::exception.
std::string event_line(const Json& event);

}  // namespace swnat::ctl
