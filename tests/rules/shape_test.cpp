// Text that is nested too deep for the parser is refused before it gets there.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "rules/config/toml_shape.h"
#include "tests/rules/faulty_file.h"

namespace swnat::rules {
namespace {

const std::string long_key = "a key has too many parts (allowed: at most 32, with dots between)";
const std::string deep =
    "arrays and inline tables are nested too deep (allowed: at most 32 levels)";

std::string repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

std::string key(int parts, std::string_view part = "a", std::string_view dot = ".") {
  return std::string(part) + repeat(fmt::format("{}{}", dot, part), parts - 1);
}

TEST_CASE("long keys and deep nesting are one error with their line") {
  constexpr int many = 50'000;
  check({
      {"a key", base(key(many) + " = 1"), {"7: " + long_key}},
      {"one part too many", base(key(33) + " = 1"), {"7: " + long_key}},
      {"a key of quoted parts", base(key(many, "\"a.b\"", " . ") + " = 1"), {"7: " + long_key}},
      {"a header", base("\n[" + key(many) + "]"), {"8: " + long_key}},
      {"a header of an array", base("[[" + key(many) + "]]"), {"7: " + long_key}},
      {"a key in an inline table", base("x = {" + key(many) + " = 1}"), {"7: " + long_key}},
      {"arrays", base("x = " + repeat("[", many)), {"7: " + deep}},
      {"arrays in lines", base("x = " + repeat("[\n", many)), {"39: " + deep}},
      {"inline tables", base("x = " + repeat("{a=", many)), {"7: " + deep}},
      {"behind strings",
       base("x = ['a\\', \"\\\"\", '''\n''''', \"\"\"\n\\\"\"\"\"\"]\n" + key(many) + " = 1"),
       {"10: " + long_key}},
  });
}

TEST_CASE("what is allowed at most is parsed") {
  // Each level of it is one that the parser goes down: the key's parts within each inline table.
  std::string text = "x = 1";
  for (int i = 0; i < 32; ++i) text = key(32, fmt::format("a{}", i)) + " = {" + text + "}";
  CHECK_FALSE(shape_fault(text));
  const auto found = faults("[" + key(32) + "]\n" + text + "\n");
  REQUIRE_FALSE(found.empty());
  CHECK(found.front().starts_with("1: unknown key \"a\" in the file"));
}

TEST_CASE("dots and brackets in strings and comments are text") {
  const std::string dots = repeat(".", 100);
  const std::string brackets = repeat("[{", 100);
  for (const std::string& text :
       {"# " + dots + brackets, "x = 1 # " + dots + brackets, "x = \"" + dots + brackets + "\"",
        "x = '" + dots + brackets + "'", "\"" + dots + brackets + "\" = 1",
        "x = \"\\\"" + dots + "\\\\\"", "x = \"\"\"\n\"\" " + dots + "\n" + brackets + "\"\"\"\"\"",
        "x = '''\n'' " + dots + "\n" + brackets + "'''''", "x = ['" + dots + "', \"" + dots + "\"]",
        "x = \"\" # " + dots, "x = '' # " + dots, "x = ''''''\ny = 1.5 # " + dots}) {
    INFO(text);
    CHECK_FALSE(shape_fault(text));
  }
}

TEST_CASE("width is not depth") {
  CHECK_FALSE(shape_fault(repeat("[[a.b]]\nc.d = [1.5, {e.f = 2.5}]\n", 1000)));
  CHECK_FALSE(shape_fault("x = [" + repeat("\"10.0.0.1\", 1.5, ['a'], ", 1000) + "]"));
  CHECK_FALSE(shape_fault(""));
}

}  // namespace
}  // namespace swnat::rules
