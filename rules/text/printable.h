// What a file says, in a message for people.
#pragma once

#include <string>
#include <string_view>

namespace swnat::rules {

// The same with its control characters spelled out, as in \n or \x1b: a message stays one line, and
// a terminal only shows it.
std::string printable(std::string_view text);

}  // namespace swnat::rules
