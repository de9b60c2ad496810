// `swnatctl trace`: what a packet would meet, step by step.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "tools/swnatctl_json.h"

namespace swnat::ctl {

// --namespace, --to and --from of a packet on its way out, --external and --remote of one that
// comes in, --protocol of both. They go into the request, under their names.
void add_trace_options(CLI::App& command, Json& request);

// The daemon's answer for people: numbered steps and the outcome, in lines of 80 columns at most,
// but for words that are longer.
std::string trace_text(const Json& document);

}  // namespace swnat::ctl
