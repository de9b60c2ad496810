#include "rules/config/toml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace swnat::rules {

std::uint32_t line_of(const toml::node& node) {
  return node.source().begin.line;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

void TableReader::fault(std::string_view key, std::uint32_t line, std::string_view what) const {
  faults_.add(line, fmt::format("{} {}: {}", where_, key, what));
}

void TableReader::missing(std::string_view key, std::string_view what) const {
  faults_.add(line_, fmt::format("{} {} is missing: {}", where_, key, what));
}

void TableReader::refuse_others() const {
  Faults unknown(faults_.file());
  for (const auto& [key, value] : table_) {
    if (std::ranges::find(asked_, key.str()) != asked_.end()) continue;
    unknown.add(key.source().begin.line,
                fmt::format("unknown key \"{}\" in {}{} (allowed: {})", key.str(), where_,
                            did_you_mean(key.str(), asked_, '"'), fmt::join(asked_, ", ")));
  }
  faults_.insert(place_, std::move(unknown));
}

const toml::node* TableReader::node(std::string_view key) {
  if (std::ranges::find(asked_, key) == asked_.end()) asked_.push_back(key);
  return table_.get(key);
}

std::optional<Located<std::string>> TableReader::text(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* value = found->as_string())
    return Located<std::string>{value->get(), line_of(*found)};
  fault(key, line_of(*found), fmt::format("must be text in quotes, not {}", kind_of(*found)));
  return std::nullopt;
}

std::optional<Located<bool>> TableReader::boolean(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  if (const auto* value = found->as_boolean()) return Located<bool>{value->get(), line_of(*found)};
  fault(key, line_of(*found), fmt::format("must be true or false, not {}", kind_of(*found)));
  return std::nullopt;
}

std::optional<Located<std::uint32_t>> TableReader::number(std::string_view key, std::uint32_t least,
                                                          std::uint32_t most) {
  const toml::node* found = node(key);
  if (found == nullptr) return std::nullopt;
  const auto* value = found->as_integer();
  if (value == nullptr) {
    fault(
        key, line_of(*found),
        fmt::format("must be a whole number from {} to {}, not {}", least, most, kind_of(*found)));
    return std::nullopt;
  }
  if (value->get() < least || value->get() > most) {
    fault(key, line_of(*found),
          fmt::format("must be from {} to {}, not {}", least, most, value->get()));
    return std::nullopt;
  }
  return Located<std::uint32_t>{static_cast<std::uint32_t>(value->get()), line_of(*found)};
}

std::vector<Located<std::string>> TableReader::texts(std::string_view key) {
  const toml::node* found = node(key);
  if (found == nullptr) return {};
  const auto* array = found->as_array();
  if (array == nullptr) {
    fault(key, line_of(*found),
          fmt::format("must be an array of texts, as in [\"…\", \"…\"], not {}", kind_of(*found)));
    return {};
  }
  std::vector<Located<std::string>> values;
  for (const toml::node& element : *array) {
    if (const auto* value = element.as_string()) {
      values.push_back({value->get(), line_of(element)});
    } else {
      fault(key, line_of(element),
            fmt::format("must hold texts in quotes, not {}", kind_of(element)));
    }
  }
  return values;
}

}  // namespace swnat::rules
