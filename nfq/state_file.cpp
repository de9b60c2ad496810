#include "nfq/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "nfq/error.h"

namespace swnat::nfq {
namespace {

[[noreturn]] void fail(const std::string& path, std::string_view what, int error) {
  throw Error(fmt::format("state {}: {}: {}", path, what, std::strerror(error)));
}

[[noreturn]] void refuse(const std::string& path, std::string_view what) {
  throw Error(
      fmt::format("state {}: {} (allowed: a regular file of the daemon's own user, {}, that nobody"
                  " else may write to); remove it, or set another control.state",
                  path, what, ::geteuid()));
}

// Whoever can write to it decides where tenants' packets go, and can end the daemon by cutting it.
void require_own(const std::string& path, const struct stat& file) {
  if (!S_ISREG(file.st_mode)) refuse(path, "is no regular file");
  if (file.st_uid != ::geteuid()) {
    refuse(path, fmt::format("belongs to user {}", file.st_uid));
  }
  if ((file.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    refuse(path,
           fmt::format("has mode {:04o}, so that others may write to it", file.st_mode & 07777u));
  }
  if (file.st_nlink != 1) refuse(path, "has another name too (a hard link)");
}

}  // namespace

StatePath::~StatePath() {
  if (is_new_) ::unlink(path_.c_str());
  // Folders where something else lies by now stay.
  for (auto path = made_folders_.rbegin(); path != made_folders_.rend(); ++path) {
    ::rmdir(path->c_str());
  }
}

// That this process made the file is known only if it was told to make it or fail: one that was
// merely missing a moment ago may be another daemon's.
FileDescriptor StatePath::open() {
  make_folders();
  // O_NONBLOCK, because opening a pipe or a device could wait; a file is not changed by it.
  constexpr int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  FileDescriptor file(::open(path_.c_str(), flags | O_CREAT | O_EXCL, 0600));
  is_new_ = static_cast<bool>(file);
  if (!file && errno == EEXIST) file = FileDescriptor(::open(path_.c_str(), flags));
  if (!file && errno == ELOOP) refuse(path_, "is a symbolic link");
  if (!file) fail(path_, "cannot be opened", errno);
  return file;
}

void StatePath::keep() {
  is_new_ = false;
  made_folders_.clear();
}

void StatePath::make_folders() {
  std::vector<std::string> missing;
  std::error_code ignored;  // open() tells better what is wrong
  for (auto path = std::filesystem::path(path_).parent_path();
       !path.empty() && !std::filesystem::exists(path, ignored); path = path.parent_path()) {
    missing.insert(missing.begin(), path);
  }
  for (std::string& path : missing) {
    if (::mkdir(path.c_str(), 0755) == 0) made_folders_.push_back(std::move(path));
  }
}

StateFile::StateFile(std::string path, std::size_t size)
    : path_(std::move(path)), file_(path_.open()) {
  struct stat file {};
  if (::fstat(file_.get(), &file) != 0) fail(this->path(), "cannot be looked at", errno);
  require_own(this->path(), file);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail(this->path(), "cannot be locked", errno);
    throw Error(fmt::format("state {}: another daemon uses it", this->path()));
  }
  allocate(size);
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (mapped == MAP_FAILED) fail(this->path(), "cannot be mapped", errno);
  bytes_ = {static_cast<std::byte*>(mapped), size};
}

StateFile::~StateFile() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

void StateFile::clear() {
  if (::ftruncate(file_.get(), 0) != 0) fail(path(), "cannot be emptied", errno);
  allocate(bytes_.size());
}

void StateFile::allocate(std::size_t size) {
  struct stat before {};
  if (::fstat(file_.get(), &before) != 0) fail(path(), "cannot be looked at", errno);
  const auto length = static_cast<off_t>(size);
  if (::ftruncate(file_.get(), length) != 0) fail(path(), "cannot be given its size", errno);
  const int error = ::posix_fallocate(file_.get(), 0, length);
  if (error == 0) return;
  // What a full disk lacks is not kept from others until the next start.
  [[maybe_unused]] const int ignored = ::ftruncate(file_.get(), before.st_size);
  fail(path(), fmt::format("cannot be given its {} bytes", size), error);
}

std::uint64_t boot_epoch() {
  const std::string path = "/proc/sys/kernel/random/boot_id";
  std::string id;
  if (!(std::ifstream(path) >> id)) {
    throw Error(fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  }
  // FNV-1a, because it must be the same in every build that may find the file.
  std::uint64_t epoch = 0xcbf2'9ce4'8422'2325;
  for (const char c : id) epoch = (epoch ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
  return epoch;
}

}  // namespace swnat::nfq
