#include "rules/text/suggestion.h"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

namespace swnat::rules {
namespace {

constexpr std::array<std::string_view, 6> commands = {"status", "sessions", "mappings",
                                                      "count",  "flush",    "top"};

TEST_CASE("suggestion: one slip of the hand is understood") {
  CHECK_EQ(nearest_word("sesions", commands), "sessions");    // missing
  CHECK_EQ(nearest_word("sessiions", commands), "sessions");  // too many
  CHECK_EQ(nearest_word("sessiohs", commands), "sessions");   // another
  CHECK_EQ(nearest_word("tpo", commands), "top");             // two in the other order
  CHECK_EQ(nearest_word("sessions", commands), "sessions");
}

TEST_CASE("suggestion: what resembles nothing has none") {
  CHECK_EQ(nearest_word("reload", commands), "");
  CHECK_EQ(nearest_word("xyz", commands), "");
  CHECK_EQ(nearest_word("", commands), "");
  CHECK_EQ(nearest_word("top", {}), "");
  // Letters may change places, but not over a third.
  CHECK_EQ(nearest_word("opt", commands), "");
}

TEST_CASE("suggestion: words of any length and number end it soon") {
  const std::string longest(32, 'a');
  const std::string longer(33, 'a');
  const std::array<std::string_view, 2> words = {longer, longest};
  CHECK_EQ(nearest_word(longest, words), longest);
  CHECK_EQ(nearest_word(longest.substr(1), words), longest);
  CHECK_EQ(nearest_word(longer, words), "");
  CHECK_EQ(nearest_word(std::string(1'000'000, 'a'), words), "");
  std::vector<std::string_view> many(4096, "other");
  many.emplace_back("mine");
  CHECK_EQ(nearest_word("mime", many), "");
  many[4095] = "mine";
  CHECK_EQ(nearest_word("mime", many), "mine");
}

TEST_CASE("suggestion: the end of a message") {
  CHECK_EQ(did_you_mean("flsuh", commands), "; did you mean 'flush'?");
  CHECK_EQ(did_you_mean("flsuh", commands, '"'), "; did you mean \"flush\"?");
  CHECK_EQ(did_you_mean("nonsense", commands), "");
}

}  // namespace
}  // namespace swnat::rules
