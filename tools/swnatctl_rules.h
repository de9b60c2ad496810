// `swnatctl forward` and `swnatctl drop`: rules that are added to the running daemon.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/swnatctl_json.h"
#include "tools/swnatctl_list.h"

namespace swnat::ctl {

// Adds both commands; the chosen one's part of the request goes there, "command" included.
void add_rule_commands(CLI::App& app, Json& request);

ListColumns forward_columns();
ListColumns drop_columns();

// Of what was added, and of how many were removed.
std::string added_forward_text(const Json& document);
std::string added_drop_text(const Json& document);
std::string removed_text(const Json& document);

}  // namespace swnat::ctl
