// What somebody probably meant who wrote a word that is not known.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace swnat::rules {

// The word that takes the fewest changes to come to from `given`: letters that are missing, too
// many, others, or two that changed places. Empty if all differ by more than a third of it. The
// first of equals. Words of more than 32 bytes resemble nothing, and only the first 4096 words are
// looked at, so that nobody waits for it.
std::string_view nearest_word(std::string_view given, std::span<const std::string_view> words);

// The same as the end of a message: "; did you mean 'sessions'?", or nothing. With `quote` around.
std::string did_you_mean(std::string_view given, std::span<const std::string_view> words,
                         char quote = '\'');

}  // namespace swnat::rules
