#include "nfq/added_rules_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "nfq/added_rules_json.h"
#include "nfq/error.h"
#include "nfq/file_descriptor.h"

namespace swnat::nfq {
namespace {

std::string why_not() {
  return std::strerror(errno);
}

// Whoever can write to it decides what reaches tenants.
void require_own_file(int fd) {
  struct stat file {};
  if (::fstat(fd, &file) != 0) throw Error(why_not());
  if (!S_ISREG(file.st_mode)) throw Error("it is no regular file");
  if (file.st_uid != ::geteuid()) throw Error(fmt::format("it belongs to user {}", file.st_uid));
  if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) throw Error("others may write to it");
}

std::string read_whole(int fd) {
  std::string text;
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t size = ::read(fd, block.data(), block.size());
    if (size == 0) return text;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw Error(why_not());
    text.append(block.data(), static_cast<std::size_t>(size));
    if (text.size() > AddedRulesFile::largest) throw Error("it is too large");
  }
}

bool write_whole(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno != EINTR) return false;
    if (size > 0) text.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

}  // namespace

AddedRulesFile::AddedRulesFile(std::string path, std::uint64_t boot)
    : path_(std::move(path)), boot_(boot) {}

AddedRules AddedRulesFile::read() {
  if (path_.empty()) return {};
  // O_NONBLOCK, because opening a pipe or a device could wait; a file is not changed by it.
  const FileDescriptor file(
      ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file && errno == ENOENT) return {};
  try {
    if (!file) throw Error(errno == ELOOP ? "it is a symbolic link" : why_not());
    require_own_file(file.get());
    return kept_rules(read_whole(file.get()), boot_);
  } catch (const Error& error) {
    fault_ = error.what();
    return {};
  }
}

std::string AddedRulesFile::keep() {
  if (fault_.empty()) return "";
  const std::string aside = path_ + ".aside";
  const bool is_moved = ::rename(path_.c_str(), aside.c_str()) == 0;
  const std::string where =
      is_moved ? "put aside as " + aside : fmt::format("it cannot be put aside ({})", why_not());
  return fmt::format("added rules {}: {}; {}, starting without them", path_,
                     std::exchange(fault_, {}), where);
}

std::string AddedRulesFile::write(const AddedRules& rules) const {
  if (path_.empty()) return "";
  const std::string next = path_ + ".new";
  // What a write that was cut off left there is nobody's.
  ::unlink(next.c_str());
  FileDescriptor file(
      ::open(next.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || !write_whole(file.get(), kept_text(rules, boot_)) ||
      ::rename(next.c_str(), path_.c_str()) != 0) {
    std::string fault = fmt::format("added rules {}: cannot be written: {}", path_, why_not());
    if (file) ::unlink(next.c_str());
    return fault;
  }
  return "";
}

}  // namespace swnat::nfq
