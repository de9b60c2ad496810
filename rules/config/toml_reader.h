// Reading one table of the configuration file, value by value, each with its line and its limits.
#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/faults.h"

namespace swnat::rules {

// Every function that finds a value of the wrong kind or beyond its limits tells the faults and
// returns nothing, so that the caller goes on with the default and the next fault is found too.
class TableReader {
 public:
  // `where` is the table as a person knows it: "[nat]".
  TableReader(const toml::table& table, std::string where, std::uint32_t line, Faults& faults)
      : table_(table), where_(std::move(where)), line_(line), faults_(faults) {}

  void allow_only(std::initializer_list<std::string_view> keys) const;

  bool has(std::string_view key) const { return table_.contains(key); }
  const toml::node* node(std::string_view key) const { return table_.get(key); }

  std::optional<Located<std::string>> text(std::string_view key) const;
  std::optional<Located<bool>> boolean(std::string_view key) const;
  std::optional<Located<std::uint32_t>> number(std::string_view key, std::uint32_t least,
                                               std::uint32_t most) const;
  // One of the texts in `choices`, as its place there.
  std::optional<Located<std::size_t>> choice(std::string_view key,
                                             std::initializer_list<std::string_view> choices) const;
  // An array of texts; empty if the key is not there.
  std::vector<Located<std::string>> texts(std::string_view key) const;

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
};

std::uint32_t line_of(const toml::node& node);

// "a string", "a table" …: what a value is, for people.
std::string_view kind_of(const toml::node& node);

}  // namespace swnat::rules
