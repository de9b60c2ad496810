#include "rules/config/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

namespace swnat::rules {
namespace {

std::string_view file_kind(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    default:
      return "something else";
  }
}

std::string unreadable(int error) {
  return fmt::format("cannot be read: {}", std::strerror(error));
}

std::string too_large() {
  return fmt::format("is too large (allowed: at most {} bytes)", largest_config);
}

// Empty if it can be read.
std::string fault_of(const struct stat& file) {
  if (!S_ISREG(file.st_mode)) {
    return fmt::format("is {} (allowed: a regular file)", file_kind(file.st_mode));
  }
  return file.st_size > static_cast<off_t>(largest_config) ? too_large() : "";
}

// The size that was told before says nothing of files in /proc, nor of one that grows.
FileText read_all(int fd) {
  FileText result;
  std::array<char, 65536> block;
  for (;;) {
    const ssize_t size = read(fd, block.data(), block.size());
    if (size == 0) return result;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return {"", unreadable(errno)};
    result.text.append(block.data(), static_cast<std::size_t>(size));
    if (result.text.size() > largest_config) return {"", too_large()};
  }
}

}  // namespace

FileText read_config_file(const std::string& path) {
  // Looked at before it is opened, because that alone does something to some devices, and again
  // after, because it may be another file by then.
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) return {"", unreadable(errno)};
  if (std::string fault = fault_of(file); !fault.empty()) return {"", std::move(fault)};
  const int fd = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return {"", unreadable(errno)};
  FileText result;
  if (fstat(fd, &file) != 0) {
    result.error = unreadable(errno);
  } else if (result.error = fault_of(file); result.error.empty()) {
    result = read_all(fd);
  }
  close(fd);
  return result;
}

}  // namespace swnat::rules
