// JSON written piece by piece: what is large needs no second form in memory that is many times as
// large as its text.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace swnat::rules {

class JsonText {
 public:
  void begin_object() { begin('{'); }
  void end_object() { text_ += '}'; }
  void begin_array() { begin('['); }
  void end_array() { text_ += ']'; }
  // What comes next belongs to it.
  void key(std::string_view name);

  // What is not UTF-8 is replaced.
  void add(std::string_view value);
  void add(std::uint64_t value);
  void add(const std::vector<std::string>& values);
  void add(const std::map<std::string, std::string>& values);
  void add_null();

  template <class Value>
  void add(std::string_view name, const Value& value) {
    key(name);
    add(value);
  }

  std::string take() { return std::move(text_); }

 private:
  void begin(char bracket);
  // A comma, if something is before it.
  void separate();

  std::string text_;
};

}  // namespace swnat::rules
