// The daemon's answers as tables for people.
#pragma once

#include <string>

#include "tools/swnatctl_json.h"

namespace swnat::ctl {

// `document` is what the command prints with --json.
std::string status_text(const Json& document);
std::string namespaces_text(const Json& document);
std::string stats_text(const Json& document);
std::string count_text(const Json& document);

// "2h 4m", "4m 10s", "59.5s": the two largest units.
std::string duration(double seconds);

}  // namespace swnat::ctl
