// Reading one table of the configuration file, value by value, each with its line and its limits.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/faults.h"
#include "rules/text/suggestion.h"

namespace swnat::rules {

// What may be written, and what it means.
template <class T>
struct Choice {
  std::string_view text;
  T value;
};

// For people: `"tcp", "udp"`.
template <class T>
std::string texts_of(std::span<const Choice<T>> choices) {
  std::string all;
  for (const auto& each : choices) {
    if (!all.empty()) all += ", ";
    all.append("\"").append(each.text).append("\"");
  }
  return all;
}

// For people, what was written instead: `"tpc"; did you mean "tcp"?`.
template <class T>
std::string not_one_of(std::string_view given, std::span<const Choice<T>> choices) {
  std::vector<std::string_view> words;
  for (const auto& each : choices) words.push_back(each.text);
  std::string text = "\"";
  return text.append(given).append("\"").append(did_you_mean(given, words, '"'));
}

// Every function that finds a value of the wrong kind or beyond its limits tells the faults and
// returns nothing, so that the caller goes on with the default and the next fault is found too.
//
// A key is allowed once it was asked for, by any of these functions. So each is asked for whatever
// the others say, and in the order in which people are told which are allowed.
class TableReader {
 public:
  // `where` is the table as a person knows it: "[nat]".
  TableReader(const toml::table& table, std::string where, std::uint32_t line, Faults& faults)
      : table_(table),
        where_(std::move(where)),
        line_(line),
        faults_(faults),
        place_(faults.size()) {}

  // Keys are literals: they are remembered as they are.
  const toml::node* node(std::string_view key);
  bool has(std::string_view key) { return node(key) != nullptr; }

  std::optional<Located<std::string>> text(std::string_view key);
  std::optional<Located<bool>> boolean(std::string_view key);
  std::optional<Located<std::uint32_t>> number(std::string_view key, std::uint32_t least,
                                               std::uint32_t most);
  template <class T>
  std::optional<Located<T>> choice(std::string_view key, std::span<const Choice<T>> choices);
  // An array of texts; empty if the key is not there.
  std::vector<Located<std::string>> texts(std::string_view key);

  // The last call: what was not asked for is unknown. These faults come before the table's others,
  // of which they may be the reason.
  void refuse_others() const;

  // A fault of this key's value, at its line: "[nat] max_sessions: …".
  void fault(std::string_view key, std::uint32_t line, std::string_view what) const;
  void missing(std::string_view key, std::string_view what) const;

  const std::string& where() const { return where_; }
  std::uint32_t line() const { return line_; }
  Faults& faults() const { return faults_; }

 private:
  const toml::table& table_;
  std::string where_;
  std::uint32_t line_;
  Faults& faults_;
  std::size_t place_;  // among the faults, of the table's first
  std::vector<std::string_view> asked_;
};

template <class T>
std::optional<Located<T>> TableReader::choice(std::string_view key,
                                              std::span<const Choice<T>> choices) {
  const auto given = text(key);
  if (!given) return std::nullopt;
  for (const Choice<T>& each : choices) {
    if (each.text == given->value) return Located<T>{each.value, given->line};
  }
  fault(key, given->line,
        "must be one of " + texts_of(choices) + ", not " + not_one_of(given->value, choices));
  return std::nullopt;
}

// Where nothing was read, the default stays.
template <class T, class Read>
void assign(T& value, const std::optional<Located<Read>>& read) {
  if (read) value = T{read->value};
}

std::uint32_t line_of(const toml::node& node);

// "a string", "a table" …: what a value is, for people.
std::string_view kind_of(const toml::node& node);

}  // namespace swnat::rules
