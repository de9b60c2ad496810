// Text in the format of Prometheus, version 0.0.4.
#pragma once

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "nfq/append.h"

namespace swnat::nfq {

inline constexpr std::string_view prometheus_media_type =
    "text/plain; version=0.0.4; charset=utf-8";

// Begins a metric, whose samples follow. `type`: "gauge", or "counter" if its name ends in _total.
inline void append_head(std::string& text, std::string_view name, std::string_view type,
                        std::string_view help) {
  append(text, "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

// A metric of one sample without labels.
template <class Number>
void append_metric(std::string& text, std::string_view name, std::string_view type,
                   std::string_view help, Number value) {
  append_head(text, name, type, help);
  append(text, "{} {}\n", name, value);
}

// What stands between the quotes of a label.
inline std::string label(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '\\' || c == '"') escaped += '\\';
    if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace swnat::nfq
