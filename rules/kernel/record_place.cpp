#include "rules/kernel/record_place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

// Unlike inodes, cookies are never given out again. 0 where the kernel has none (before 5.14).
std::uint64_t namespace_cookie() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw KernelError(fmt::format("no socket: {}", std::strerror(errno)));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
#ifndef SO_NETNS_COOKIE
  constexpr int SO_NETNS_COOKIE = 71;
#endif
  if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) cookie = 0;
  close(fd);
  return cookie;
}

void write_file(const std::string& path, const std::string& text, Survives survives) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  bool good = fd >= 0;
  std::string_view rest = text;
  while (good && !rest.empty()) {
    const ssize_t written = write(fd, rest.data(), rest.size());
    good = written > 0;
    if (good) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  good = good && (survives == Survives::processes || fsync(fd) == 0);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!good) throw KernelError(fmt::format("{} cannot be written: {}", path, std::strerror(error)));
}

}  // namespace

std::uint64_t namespace_inode() {
  struct stat found {};
  if (stat("/proc/self/ns/net", &found) != 0) {
    throw KernelError(fmt::format("/proc/self/ns/net cannot be read: {}", std::strerror(errno)));
  }
  return found.st_ino;
}

RecordOrigin origin_here() {
  constexpr const char* path = "/proc/sys/kernel/random/boot_id";
  std::ifstream file(path);
  RecordOrigin origin;
  if (!std::getline(file, origin.boot_id)) {
    throw KernelError(fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  }
  origin.namespace_cookie = namespace_cookie();
  return origin;
}

std::string record_folder(const std::string& control_socket) {
  return std::filesystem::path(control_socket).parent_path();
}

std::string place_beside(const std::string& control_socket, const char* name) {
  return fmt::format("{}/{}-{}", record_folder(control_socket), name, namespace_inode());
}

void replace_file(const std::string& path, const std::string& text, Survives survives) {
  const std::string temporary = path + ".new";
  write_file(temporary, text, survives);
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    throw KernelError(fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
  }
}

}  // namespace swnat::rules
