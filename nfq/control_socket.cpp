#include "nfq/control_socket.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "nfq/error.h"

namespace swnat::nfq {
namespace {

constexpr mode_t folder_mode = 0755;
constexpr mode_t socket_mode = 0660;
constexpr int backlog = 128;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

FileDescriptor open_stream() {
  return FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Returns 0 if somebody listens, or an errno.
int probe(const std::string& path) {
  const FileDescriptor socket = open_stream();
  if (!socket) return errno;
  const sockaddr_un address = address_of(path);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket.get(), generic, sizeof address) == 0) return 0;
  return errno == EAGAIN ? 0 : errno;  // EAGAIN: somebody listens, but is busy
}

}  // namespace

ControlFolder::ControlFolder(const std::string& path) : path_(path) {
  is_own_ = ::mkdir(path.c_str(), folder_mode) == 0;
  if (!is_own_ && errno != EEXIST) {
    throw Error(
        fmt::format("control.socket: cannot create the folder {}: {}", path, std::strerror(errno)));
  }
  if (is_own_) ::chmod(path.c_str(), folder_mode);  // whatever the umask says
}

ControlFolder::~ControlFolder() {
  if (is_own_) ::rmdir(path_.c_str());
}

ControlSocket::ControlSocket(const std::string& path) : path_(path), folder_(folder_of(path)) {
  constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > longest) {
    fail(fmt::format("the path is too long; at most {} bytes are allowed", longest));
  }
  remove_stale();
  listen();
}

ControlSocket::~ControlSocket() {
  struct stat file {};
  if (::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

std::string ControlSocket::give_to(gid_t group) const {
  struct stat file {};
  if (::lstat(path_.c_str(), &file) != 0) return std::strerror(errno);
  if (file.st_gid == group) return {};
  const bool is_given = ::lchown(path_.c_str(), static_cast<uid_t>(-1), group) == 0;
  return is_given ? "" : std::strerror(errno);
}

void ControlSocket::fail(const std::string& what) const {
  throw Error(fmt::format("control socket {}: {}", path_, what));
}

void ControlSocket::remove_stale() const {
  struct stat file {};
  if (::lstat(path_.c_str(), &file) != 0) {
    if (errno == ENOENT) return;
    fail(std::strerror(errno));
  }
  if (!S_ISSOCK(file.st_mode)) fail("a file that is no socket is in the way; remove it");
  const int error = probe(path_);
  if (error == 0) fail("another daemon answers there; end it, or set another control.socket");
  if (error != ECONNREFUSED) fail(std::strerror(error));
  if (::unlink(path_.c_str()) != 0) fail(std::strerror(errno));
}

void ControlSocket::listen() {
  FileDescriptor socket = open_stream();
  if (!socket) fail(std::strerror(errno));
  // Before bind(), so that the file is never open to others.
  ::fchmod(socket.get(), socket_mode);
  const sockaddr_un address = address_of(path_);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(socket.get(), generic, sizeof address) != 0) fail(std::strerror(errno));
  struct stat file {};
  const bool listens = ::chmod(path_.c_str(), socket_mode) == 0 &&
                       ::listen(socket.get(), backlog) == 0 && ::lstat(path_.c_str(), &file) == 0;
  if (!listens) {
    const int error = errno;
    ::unlink(path_.c_str());
    fail(std::strerror(error));
  }
  device_ = file.st_dev;
  inode_ = file.st_ino;
  fd_ = std::move(socket);
}

}  // namespace swnat::nfq
