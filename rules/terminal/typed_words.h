// The words that somebody typed after a program's name, as far as its table of commands and options
// knows them.
#pragma once

#include <CLI/App.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

struct TypedWords {
  // The command that the words lead to; the program itself if there is none.
  const CLI::App* command = nullptr;
  // Of it and of the commands above, what was given, by the longest name: "--socket".
  std::map<std::string, std::string> given;
  // The option that the next word is the value of.
  const CLI::Option* waiting = nullptr;
  std::size_t positionals = 0;  // of the command
  // The first word that nobody knows, and the command that does not.
  std::optional<std::string> unknown;
  const CLI::App* unknown_to = nullptr;
};

// A command's options are its own and those of the commands above it.
TypedWords follow_words(const CLI::App& program, const std::vector<std::string>& words);

// What may be typed there, without what is hidden.
std::vector<const CLI::App*> commands_of(const CLI::App& command);
std::vector<const CLI::Option*> options_of(const CLI::App& command);
std::vector<const CLI::Option*> positionals_of(const CLI::App& command);

bool takes_value(const CLI::Option& option);
// "--socket" of "-s,--socket"; the name alone of what has no dashes.
std::string longest_name(const CLI::Option& option);
// "swnatctl log", as it is typed.
std::string typed_name(const CLI::App& command);
// What `one_of()` allows for the option; empty if it was not asked.
std::vector<std::string> allowed_words(const CLI::Option& option);

}  // namespace swnat::rules
