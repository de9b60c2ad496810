// How much a line for people matters, and how the journal is told.
#pragma once

#include <string>
#include <string_view>

namespace swnat::rules {

// As syslog(3) numbers them, which sd-daemon(3) and journalctl(1) follow.
enum class Priority : unsigned char {
  error = 3,    // something that was asked for is not done, or not any more
  warning = 4,  // it is, but not all, or somebody should look at it
  notice = 5,   // worth knowing; nothing is wrong
  info = 6,
};

// Whether the file is the journal's: systemd names its device and inode in the environment's
// JOURNAL_STREAM, "8:1234", which programs inherit that have another file in its place.
// `journal_stream` is that value, or null.
bool is_journal(int fd, const char* journal_stream);

// The text with "<4>" before each of its lines, which the journal takes off again.
std::string with_priority(Priority priority, std::string_view text);

}  // namespace swnat::rules
