#include "rules/terminal/typed_words.h"

#include <algorithm>

namespace swnat::rules {
namespace {

const CLI::App* subcommand_named(const CLI::App& command, const std::string& name) {
  for (const CLI::App* each : commands_of(command)) {
    if (each->check_name(name)) return each;
  }
  return nullptr;
}

const CLI::Option* option_named(const CLI::App& command, const std::string& name) {
  const auto all = options_of(command);
  const auto found =
      std::ranges::find_if(all, [&](const auto* each) { return each->check_name(name); });
  return found == all.end() ? nullptr : *found;
}

void note_unknown(TypedWords& typed, const std::string& word) {
  if (typed.unknown) return;
  typed.unknown = word;
  typed.unknown_to = typed.command;
}

void follow_option(TypedWords& typed, const std::string& word) {
  const bool is_long = word.starts_with("--");
  const std::size_t name_length = is_long ? std::min(word.find('='), word.size()) : 2;
  const CLI::Option* option = option_named(*typed.command, word.substr(0, name_length));
  if (option == nullptr) {
    note_unknown(typed, word.substr(0, is_long ? name_length : word.size()));
    return;
  }
  // Short flags may stand together: -jh.
  if (!is_long && !takes_value(*option)) {
    if (word.size() > 2) follow_option(typed, "-" + word.substr(2));
    return;
  }
  if (!takes_value(*option)) return;
  if (word.size() == name_length) {
    typed.waiting = option;
  } else {
    typed.given[longest_name(*option)] = word.substr(name_length + (is_long ? 1 : 0));
  }
}

}  // namespace

TypedWords follow_words(const CLI::App& program, const std::vector<std::string>& words) {
  TypedWords typed;
  typed.command = &program;
  for (const std::string& word : words) {
    if (typed.waiting != nullptr) {
      typed.given[longest_name(*typed.waiting)] = word;
      typed.waiting = nullptr;
    } else if (word.size() > 1 && word.starts_with('-')) {
      follow_option(typed, word);
    } else if (const CLI::App* next = subcommand_named(*typed.command, word)) {
      typed.command = next;
      typed.positionals = 0;
    } else if (typed.positionals < positionals_of(*typed.command).size()) {
      ++typed.positionals;
    } else {
      note_unknown(typed, word);
    }
  }
  return typed;
}

std::vector<const CLI::App*> commands_of(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& command) {
  std::vector<const CLI::Option*> all;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* each : at->get_options()) {
      const bool is_shown = each->nonpositional() && !each->get_group().empty();
      const bool is_new = std::ranges::none_of(
          all, [&](const auto* other) { return longest_name(*other) == longest_name(*each); });
      if (is_shown && is_new) all.push_back(each);
    }
  }
  return all;
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& command) {
  return command.get_options([](const CLI::Option* each) { return each->get_positional(); });
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

std::string longest_name(const CLI::Option& option) {
  if (!option.get_lnames().empty()) return "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) return "-" + option.get_snames().front();
  return option.get_name();
}

std::string typed_name(const CLI::App& command) {
  const CLI::App* above = command.get_parent();
  return above == nullptr ? command.get_name() : typed_name(*above) + ' ' + command.get_name();
}

std::vector<std::string> allowed_words(const CLI::Option& option) {
  // What its validators say of themselves stands behind the name of its type: "KEY:{state,name}".
  const std::string type = option.get_type_name();
  const std::size_t begin = type.find('{');
  if (begin == std::string::npos) return {};
  std::vector<std::string> words;
  std::size_t at = begin + 1;
  for (std::size_t end; (end = type.find_first_of(",}", at)) != std::string::npos; at = end + 1) {
    words.push_back(type.substr(at, end - at));
    if (type[end] == '}') break;
  }
  return words;
}

}  // namespace swnat::rules
