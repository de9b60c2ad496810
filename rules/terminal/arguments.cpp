#include "rules/terminal/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <memory>

#include "rules/terminal/typed_words.h"
#include "rules/text/printable.h"
#include "rules/text/suggestion.h"

namespace swnat::rules {
namespace {

using Strings = std::vector<std::string>;

// A command's help shows the options of the program, too: they may stand behind the command.
class HelpText : public CLI::Formatter {
 public:
  std::string make_footer(const CLI::App* app) const override {
    std::string text;
    if (const CLI::App* above = app->get_parent()) {
      std::vector<const CLI::Option*> shared;
      for (const CLI::Option* each : options_of(*above)) {
        const std::string name = longest_name(*each);
        if (name != "--help" && name != "--version") shared.push_back(each);
      }
      text = make_group("Options of all commands", false, shared).substr(1);  // an empty line
    }
    return text + CLI::Formatter::make_footer(app);
  }
};

void dress(CLI::App& command, const std::shared_ptr<HelpText>& help) {
  command.formatter(help);
  for (CLI::App* each : command.get_subcommands({})) dress(*each, help);
}

std::string nearest_of(const std::string& word, const Strings& known) {
  const std::vector<std::string_view> words(known.begin(), known.end());
  return did_you_mean(word, words);
}

std::string unknown_text(const CLI::App& command, const std::string& word) {
  Strings known;
  if (word.starts_with('-')) {
    for (const CLI::Option* each : options_of(command)) known.push_back(longest_name(*each));
    return fmt::format("'{}' is no option of {}{}", word, typed_name(command),
                       nearest_of(word, known));
  }
  for (const CLI::App* each : commands_of(command)) known.push_back(each->get_name());
  if (known.empty()) return fmt::format("'{}' is not expected by {}", word, typed_name(command));
  return fmt::format("'{}' is no command{}", word, nearest_of(word, known));
}

// CLI11's own texts are kept where they say more than ours could.
std::string fault_text(const CLI::App& program, const TypedWords& typed,
                       const CLI::ParseError& error) {
  const bool is_of_value = dynamic_cast<const CLI::ValidationError*>(&error) != nullptr ||
                           dynamic_cast<const CLI::ConversionError*>(&error) != nullptr;
  if (is_of_value) return error.what();
  if (typed.unknown) return unknown_text(*typed.unknown_to, *typed.unknown);
  if (typed.waiting != nullptr) {
    const std::string type = typed.waiting->get_type_name();
    return fmt::format("{} lacks its {}", longest_name(*typed.waiting),
                       type.substr(0, type.find(':')));
  }
  const bool lacks_command = typed.command == &program && !commands_of(program).empty() &&
                             dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
  return lacks_command ? "a command is missing" : error.what();
}

}  // namespace

CLI::Validator one_of(std::vector<std::string> words) {
  const std::string shown = fmt::format("{{{}}}", fmt::join(words, ","));
  const auto check = [words = std::move(words)](const std::string& text) -> std::string {
    if (std::ranges::find(words, text) != words.end()) return "";
    return fmt::format("'{}' is not allowed{} (allowed: {})", text, nearest_of(text, words),
                       fmt::join(words, ", "));
  };
  return {check, shown};
}

std::optional<int> read_arguments(CLI::App& program, int argc, char** argv,
                                  const std::function<void(const std::string& line)>& tell,
                                  const ValueWords& values) {
  const Strings words(argv + std::min(argc, 1), argv + argc);
  if (!words.empty() && words.front() == completion_command) {
    return answer_completion(program, {words.begin() + 1, words.end()}, tell, values);
  }
  dress(program, std::make_shared<HelpText>());
  try {
    program.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);
    const TypedWords typed = follow_words(program, words);
    tell(printable(fmt::format("{} (see {} --help)", fault_text(program, typed, error),
                               typed_name(*typed.command))));
    return exit_usage;
  }
}

}  // namespace swnat::rules
