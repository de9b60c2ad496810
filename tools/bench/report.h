// A run as text for people.
#pragma once

#include <string>

#include "tools/bench/run.h"

namespace swnat::bench {

enum class Colours { none, terminal };

std::string report_text(const Run& run, Colours colours);

}  // namespace swnat::bench
