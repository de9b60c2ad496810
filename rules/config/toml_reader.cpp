#include "rules/config/toml_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace swnat::rules {
namespace {

// Edit distance, for telling which key was probably meant.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string suggestion(std::string_view key, const std::vector<std::string_view>& keys) {
  // Longer ones resemble nothing, and comparing takes time that grows with their length.
  constexpr std::size_t longest = 64;
  if (key.size() > longest) return "";
  const auto nearest = std::min_element(keys.begin(), keys.end(), [&](auto a, auto b) {
    return distance(key, a) < distance(key, b);
  });
  if (nearest == keys.end() || distance(key, *nearest) > std::max<std::size_t>(1, key.size() / 3)) {
    return "";
  }
  return fmt::format("; did you mean \"{}\"?", *nearest);
}

}  // namespace

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
                            suggestion(key.str(), asked_), fmt::join(asked_, ", ")));
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
