// The file that the book outlives its process in, beside the control socket: what was given, and
// since when the epoch counts. It is of one boot; of another, nothing is left.
#pragma once

#include <string>

#include "tools/pcp/control.h"

namespace swnat::pcp {

// This machine's start, by a name that no other has. Empty if the kernel does not tell.
std::string boot_id();

class SavedBook {
 public:
  explicit SavedBook(std::string path) : path_(std::move(path)) {}

  // Null if there is none of this boot; why, if that is strange, is told in the log.
  Json read(const std::string& boot) const;
  // The whole file, or the one before. What cannot be written is told in the log, once.
  void write(const Json& book, const std::string& boot);

 private:
  std::string path_;
  bool is_writable_ = true;
};

}  // namespace swnat::pcp
