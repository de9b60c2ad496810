#include "rules/config/toml_shape.h"

#include <fmt/format.h>

#include <algorithm>

namespace swnat::rules {
namespace {

constexpr std::size_t most_parts = 32;   // of a key, in a line of its own or in a header
constexpr std::size_t most_nested = 32;  // arrays and inline tables

class Scan {
 public:
  explicit Scan(std::string_view text) : rest_(text) {}

  std::optional<ShapeFault> run();

 private:
  char take();
  void skip_comment();
  void skip_string(char quote);
  void skip_short_string(char quote);
  void skip_long_string(char quote);

  std::string_view rest_;
  std::uint32_t line_ = 1;
  std::size_t nested_ = 0;
  std::size_t parts_ = 1;
};

std::optional<ShapeFault> Scan::run() {
  while (!rest_.empty()) {
    switch (const char c = take()) {
      case '"':
      case '\'':
        skip_string(c);
        break;
      case '#':
        skip_comment();
        break;
      case '.':  // in a number or a time too, which has one
        if (++parts_ <= most_parts) break;
        return ShapeFault{line_, fmt::format("a key has too many parts (allowed: at most {}, with"
                                             " dots between)",
                                             most_parts)};
      case '[':
      case '{':
        parts_ = 1;
        if (++nested_ <= most_nested) break;
        return ShapeFault{line_, fmt::format("arrays and inline tables are nested too deep"
                                             " (allowed: at most {} levels)",
                                             most_nested)};
      case ']':
      case '}':
        if (nested_ > 0) --nested_;
        parts_ = 1;
        break;
      case '=':
      case ',':
      case '\n':
        parts_ = 1;
        break;
      default:
        break;
    }
  }
  return std::nullopt;
}

char Scan::take() {
  const char c = rest_.front();
  rest_.remove_prefix(1);
  if (c == '\n') ++line_;
  return c;
}

void Scan::skip_comment() {
  rest_.remove_prefix(std::min(rest_.size(), rest_.find('\n')));
}

// The opening quote is taken already.
void Scan::skip_string(char quote) {
  const char two[] = {quote, quote};
  if (!rest_.starts_with(std::string_view(two, 2))) return skip_short_string(quote);
  rest_.remove_prefix(2);
  skip_long_string(quote);
}

// No string of this kind goes beyond its line.
void Scan::skip_short_string(char quote) {
  while (!rest_.empty() && rest_.front() != '\n') {
    const char c = take();
    if (c == quote) return;
    if (c == '\\' && quote == '"' && !rest_.empty() && rest_.front() != '\n') take();
  }
}

// Up to two quotes more than the three that end it belong to the string.
void Scan::skip_long_string(char quote) {
  std::size_t quotes = 0;
  while (!rest_.empty()) {
    if (quotes >= 3 && rest_.front() != quote) return;
    const char c = take();
    quotes = c == quote ? quotes + 1 : 0;
    if (c == '\\' && quote == '"' && !rest_.empty()) take();
  }
}

}  // namespace

std::optional<ShapeFault> shape_fault(std::string_view text) {
  return Scan(text).run();
}

}  // namespace swnat::rules
