// The options of commands that are about some sessions, mappings or namespaces. What they say goes
// into the request, under their names.
#pragma once

#include <CLI/CLI.hpp>

#include "tools/swnatctl_json.h"

namespace swnat::ctl {

// --namespace alone.
void add_namespace_option(CLI::App& command, Json& request);
// Which are meant: --namespace, --protocol, --internal, --external, --remote, --state, --idle.
void add_pattern_options(CLI::App& command, Json& request);
// Which events are meant: the same but for --state and --idle, and --events.
void add_watch_options(CLI::App& command, Json& request);
// In which order, and how many: --sort, --reverse, --limit.
void add_order_options(CLI::App& command, Json& request);

}  // namespace swnat::ctl
