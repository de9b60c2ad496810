// Completion in bash and zsh, made from the program's own table of commands and options.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

// Theory of operation
//
// The shells know nothing of our commands. At each Tab a few lines in the shell's language ask the
// program itself, by a command that its help does not show:
//
//   swnatctl completion bash|zsh     prints these lines
//   swnatctl completion words WORD…  prints what the last WORD, which may be empty, may become
//
// A candidate is a line: the word, and behind a tab what it is. The line ":file" instead of all
// means that a file's name is wanted.
inline constexpr std::string_view completion_command = "completion";

// An option whose value somebody is typing.
struct ValueQuestion {
  std::string command;                              // without the program's name; "" for none
  std::string option;                               // "--sort"
  const std::map<std::string, std::string>& given;  // "--socket": what was typed before
};

struct Words {
  std::vector<std::string> words;
  bool is_list = false;  // several may stand there, with commas between
};

// What is known beyond one_of() and names of files. Must be quick and silent.
using ValueWords = std::function<Words(const ValueQuestion& question)>;

// What the last word may become. One that the shell has cut at "=" or ":" comes as several.
std::vector<std::string> completion_candidates(const CLI::App& program,
                                               std::vector<std::string> words,
                                               const ValueWords& values);

// Does what the words behind `completion` say. Returns the exit status.
int answer_completion(const CLI::App& program, const std::vector<std::string>& words,
                      const std::function<void(const std::string& line)>& tell,
                      const ValueWords& values);

}  // namespace swnat::rules
