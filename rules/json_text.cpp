#include "rules/json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace swnat::rules {
namespace {

bool is_plain(char c) {
  return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

}  // namespace

void JsonText::begin(char bracket) {
  separate();
  text_ += bracket;
}

void JsonText::separate() {
  constexpr std::string_view openings = "{[:";
  if (!text_.empty() && openings.find(text_.back()) == std::string_view::npos) text_ += ',';
}

void JsonText::key(std::string_view name) {
  add(name);
  text_ += ':';
}

void JsonText::add(std::string_view value) {
  separate();
  const auto is_ascii = [](char c) { return is_plain(c) || c == '\n' || c == '\t' || c == '"'; };
  if (!std::ranges::all_of(value, is_ascii)) {
    using Json = nlohmann::json;
    text_ += Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  text_ += '"';
  while (!value.empty()) {
    const auto end = std::ranges::find_if_not(value, is_plain);
    const auto size = static_cast<std::size_t>(end - value.begin());
    text_ += value.substr(0, size);
    if (end == value.end()) break;
    text_ += *end == '\n' ? "\\n" : *end == '\t' ? "\\t" : "\\\"";
    value.remove_prefix(size + 1);
  }
  text_ += '"';
}

void JsonText::add(std::uint64_t value) {
  separate();
  text_ += std::to_string(value);
}

void JsonText::add(const std::vector<std::string>& values) {
  begin_array();
  for (const std::string& each : values) add(each);
  end_array();
}

void JsonText::add(const std::map<std::string, std::string>& values) {
  begin_object();
  for (const auto& [name, value] : values) add(name, value);
  end_object();
}

void JsonText::add_null() {
  separate();
  text_ += "null";
}

}  // namespace swnat::rules
