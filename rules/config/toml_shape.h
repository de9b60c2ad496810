// How deep a TOML text goes, found out without parsing it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swnat::rules {

struct ShapeFault {
  std::uint32_t line = 0;
  std::string message;
};

// The parser, and the tables that it makes when they are destroyed, go as deep into the stack as
// the text is nested, and nothing bounds that for dotted keys: a file of some 100 kB ends the
// process. So this looks at the text first, without recursion. A configuration needs three levels.
//
// It agrees with TOML on every valid text. What it makes of an invalid one behind its first fault
// is no matter: the parser does not get there.
std::optional<ShapeFault> shape_fault(std::string_view text);

}  // namespace swnat::rules
