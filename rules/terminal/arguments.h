// What all our programs do with their arguments: help, errors that say what was meant, completion.
#pragma once

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/terminal/completion.h"

namespace swnat::rules {

// The status that a program ends with.
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;

// The words that an option takes. Help and completion show them, and who writes another is told
// which are allowed.
CLI::Validator one_of(std::vector<std::string> words);

// Reads the arguments into what the program's options refer to. Returns the exit status if nothing
// is left to do: help or the version was asked for, or completion, which `values` knows more of; or
// something is wrong, which `tell` is given as one line.
std::optional<int> read_arguments(CLI::App& program, int argc, char** argv,
                                  const std::function<void(const std::string& line)>& tell,
                                  const ValueWords& values = {});

}  // namespace swnat::rules
