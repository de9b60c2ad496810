// Words that requests of the control protocol may hold: the daemon names them to who wrote another,
// and programs complete them.
#pragma once

#include <string_view>

namespace swnat::rules {

inline constexpr std::string_view session_states[] = {"active",      "opening", "established",
                                                      "half-closed", "closing", "reset"};
inline constexpr std::string_view event_groups[] = {"mapping", "session", "refused", "block"};
inline constexpr std::string_view session_sort_keys[] = {
    "age",       "idle",     "expires",  "packets",  "bytes", "state",
    "namespace", "protocol", "internal", "external", "remote"};
inline constexpr std::string_view mapping_sort_keys[] = {
    "age",      "idle",      "sessions", "packets",  "bytes",
    "protocol", "namespace", "internal", "external", "remote"};

}  // namespace swnat::rules
