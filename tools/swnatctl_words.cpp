#include "tools/swnatctl_words.h"

#include <chrono>
#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "rules/text/protocol_name.h"
#include "rules/text/request_words.h"
#include "tools/swnatctl_answer.h"
#include "tools/swnatctl_connection.h"

namespace swnat::ctl {
namespace {

// Nobody reads more of them.
constexpr std::size_t most_names = 1000;
constexpr std::chrono::seconds patience_of_tab{1};

rules::Words words_of(std::span<const std::string_view> all) {
  rules::Words words;
  words.words.assign(all.begin(), all.end());
  return words;
}

rules::Words running_namespaces(const rules::ValueQuestion& question) {
  const auto socket = question.given.find("--socket");
  rules::Words words;
  try {
    Answer answer(socket == question.given.end() ? usual_socket : socket->second,
                  Json{{"command", "namespaces"}}, patience_of_tab);
    while (words.words.size() < most_names && answer.next()) {
      words.words.push_back(answer.item().at("name").get<std::string>());
    }
  } catch (const std::exception&) {
    // Nobody to ask: there is no word to tell it by.
  }
  return words;
}

}  // namespace

rules::Words value_words(const rules::ValueQuestion& question) {
  if (question.option == "--namespace") return running_namespaces(question);
  if (question.option == "--protocol") return words_of(rules::protocol_names());
  if (question.option == "--state") return words_of(rules::session_states);
  if (question.option == "--events") {
    rules::Words events = words_of(rules::event_groups);
    events.is_list = true;
    return events;
  }
  if (question.option == "--sort" && question.command == "sessions") {
    return words_of(rules::session_sort_keys);
  }
  if (question.option == "--sort" && question.command == "mappings") {
    return words_of(rules::mapping_sort_keys);
  }
  return {};
}

}  // namespace swnat::ctl
