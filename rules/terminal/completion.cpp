#include "rules/terminal/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "rules/terminal/arguments.h"
#include "rules/terminal/typed_words.h"

namespace swnat::rules {
namespace {

using Lines = std::vector<std::string>;

// {0}: the program; {1}: the same as a part of a function's name in bash. In zsh a function has its
// file's name.
constexpr const char* bash_lines =
    R"lines(# bash completion for {0}; {0} completion bash prints this
_{1}() {{
  local candidates
  COMPREPLY=()
  mapfile -t candidates < <("$1" completion words "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null)
  if [[ ${{candidates[0]-}} == :file ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "${{COMP_WORDS[COMP_CWORD]#=}}")
  else
    COMPREPLY=("${{candidates[@]%%$'\t'*}}")
  fi
}}
complete -F _{1} {0}
)lines";

constexpr const char* zsh_lines =
    R"lines(#compdef {0}
# zsh completion for {0}; {0} completion zsh prints this
_{0}() {{
  local -a candidates typed
  typed=("${{(@Q)words[2,CURRENT]}}")
  candidates=("${{(@f)$("${{(Q)words[1]}}" completion words "${{(@)typed}}" 2>/dev/null)}}")
  [[ $words[CURRENT] != --*=* ]] || compset -P '*='
  if [[ $candidates[1] == :file ]]; then
    _files
  elif [[ -n $candidates[1] ]]; then
    candidates=("${{(@)candidates/$'\t'/:}}")
    _describe '{0}' candidates
  fi
}}
if [[ $funcstack[1] == _{0} ]]; then _{0} "$@"; else compdef _{0} {0}; fi
)lines";

// bash cuts words at "=" and ":", which then are words of their own.
Lines joined(const Lines& words) {
  Lines whole;
  bool goes_on = false;
  for (const std::string& word : words) {
    const bool is_option = !whole.empty() && whole.back().starts_with("--");
    if (word == "=" && is_option) {
      whole.back() += '=';
      goes_on = true;
    } else if (word == ":" && !whole.empty() && !is_option) {
      whole.back() += ':';
      goes_on = true;
    } else if (goes_on) {
      whole.back() += word;
      goes_on = false;
    } else {
      whole.push_back(word);
    }
  }
  return whole;
}

std::string candidate(const std::string& word, const std::string& what) {
  return what.empty() ? word : fmt::format("{}\t{}", word, what);
}

std::string command_path(const CLI::App& command) {
  const std::string name = typed_name(command);
  const std::size_t space = name.find(' ');
  return space == std::string::npos ? "" : name.substr(space + 1);
}

Lines values_of(const CLI::Option& option, const TypedWords& typed, const std::string& begun,
                const ValueWords& values) {
  Words known{.words = allowed_words(option), .is_list = false};
  if (known.words.empty() && values) {
    known = values({command_path(*typed.command), longest_name(option), typed.given});
  }
  const std::string type = option.get_type_name();
  if (known.words.empty() && (type.starts_with("FILE") || type.starts_with("PATH"))) {
    return {":file"};
  }
  const std::size_t comma = known.is_list ? begun.rfind(',') : std::string::npos;
  const std::string before = comma == std::string::npos ? "" : begun.substr(0, comma + 1);
  Lines lines;
  for (const std::string& word : known.words) {
    if ((before + word).starts_with(begun)) lines.push_back(before + word);
  }
  return lines;
}

void add_options(Lines& lines, const CLI::App& command, const std::string& begun) {
  for (const CLI::Option* each : options_of(command)) {
    const std::string name = longest_name(*each);
    if (name.starts_with(begun)) lines.push_back(candidate(name, each->get_description()));
  }
}

}  // namespace

std::vector<std::string> completion_candidates(const CLI::App& program,
                                               std::vector<std::string> words,
                                               const ValueWords& values) {
  words = joined(words);
  const std::string begun = words.empty() ? "" : words.back();
  if (!words.empty()) words.pop_back();
  const TypedWords typed = follow_words(program, words);
  if (typed.waiting != nullptr) return values_of(*typed.waiting, typed, begun, values);
  if (const std::size_t equals = begun.find('=');
      begun.starts_with("--") && equals != std::string::npos) {
    for (const CLI::Option* each : options_of(*typed.command)) {
      if (!each->check_name(begun.substr(0, equals)) || !takes_value(*each)) continue;
      return values_of(*each, typed, begun.substr(equals + 1), values);
    }
    return {};
  }
  Lines lines;
  if (begun.starts_with('-')) {
    add_options(lines, *typed.command, begun);
    return lines;
  }
  for (const CLI::App* each : commands_of(*typed.command)) {
    if (!each->get_name().starts_with(begun)) continue;
    lines.push_back(candidate(each->get_name(), each->get_description()));
  }
  const auto positionals = positionals_of(*typed.command);
  if (typed.positionals < positionals.size()) {
    const Lines more = values_of(*positionals[typed.positionals], typed, begun, values);
    lines.insert(lines.end(), more.begin(), more.end());
  }
  if (lines.empty() && begun.empty()) add_options(lines, *typed.command, begun);
  return lines;
}

int answer_completion(const CLI::App& program, const std::vector<std::string>& words,
                      const std::function<void(const std::string& line)>& tell,
                      const ValueWords& values) {
  const std::string what = words.empty() ? "" : words.front();
  const std::string& name = program.get_name();
  std::string function = name;
  std::ranges::replace(function, '-', '_');
  std::string text;
  if (what == "words") {
    for (const auto& line :
         completion_candidates(program, {words.begin() + 1, words.end()}, values)) {
      text += line + '\n';
    }
  } else if (what == "bash" || what == "zsh") {
    text = fmt::format(fmt::runtime(what == "bash" ? bash_lines : zsh_lines), name, function);
  } else {
    tell(fmt::format("completion wants the name of a shell: {0} completion bash|zsh", name));
    return exit_usage;
  }
  std::fputs(text.c_str(), stdout);
  return std::fflush(stdout) == 0 ? 0 : exit_failed;
}

}  // namespace swnat::rules
