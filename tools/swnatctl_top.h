// `swnatctl top`: namespaces or sessions by what they do at the moment, in a terminal.
#pragma once

#include <chrono>
#include <string>

#include "tools/top_batch.h"

namespace CLI {
class App;
}

namespace swnat::ctl {

// The options go there when the command line is read.
void add_top_options(CLI::App& command, TopOptions& options);

// Returns the exit status. Throws Error, and Json::exception for what is no answer of the daemon's.
int top(const std::string& socket, std::chrono::seconds patience, const TopOptions& options);

}  // namespace swnat::ctl
