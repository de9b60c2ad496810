// The daemon's answers as tables for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace swnat::ctl {

using Json = nlohmann::ordered_json;

// `document` is what the command prints with --json.
std::string status_text(const Json& document);
std::string namespaces_text(const Json& document);
std::string sessions_text(const Json& document);
std::string stats_text(const Json& document);

}  // namespace swnat::ctl
