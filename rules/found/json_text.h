// Texts in the JSON that other programs print.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace swnat::rules {

// Empty if there is none, or it is no text.
inline std::string json_text(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace swnat::rules
