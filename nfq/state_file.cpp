#include "nfq/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "nfq/error.h"
#include "rules/text/digest.h"

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

constexpr std::string_view aside_infix = ".aside-";

struct Aside {
  std::uint64_t number = 0;
  std::string path;
};

// What was put aside from this path, the oldest first.
std::vector<Aside> put_aside_before(const std::string& path) {
  const std::string prefix = path + std::string(aside_infix);
  std::vector<Aside> all;
  std::error_code fault;  // what cannot be listed cannot be removed either
  std::filesystem::directory_iterator entry(std::filesystem::path(path).parent_path(), fault);
  for (; !fault && entry != std::filesystem::directory_iterator(); entry.increment(fault)) {
    const std::string found = entry->path();
    if (!found.starts_with(prefix)) continue;
    std::uint64_t number = 0;
    const char* const end = found.data() + found.size();
    const auto parsed = std::from_chars(found.data() + prefix.size(), end, number);
    if (parsed.ec == std::errc{} && parsed.ptr == end) all.push_back({number, found});
  }
  std::ranges::sort(all, {}, &Aside::number);
  return all;
}

// False if something has the new name already; errno says why.
bool rename_to_nothing(const std::string& from, const std::string& to) {
  return ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0;
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
  if (!aside_.empty()) rename_to_nothing(aside_, path_);
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

const std::string& StatePath::put_aside() {
  constexpr int attempts = 1000;
  const std::vector<Aside> others = put_aside_before(path_);
  std::uint64_t number = others.empty() ? 1 : others.back().number + 1;
  for (int attempt = 1;; ++attempt, ++number) {
    std::string name = fmt::format("{}{}{}", path_, aside_infix, number);
    if (rename_to_nothing(path_, name)) {
      is_new_ = false;
      return aside_ = std::move(name);
    }
    // Others may not be seen in the folder, or their numbers have come round.
    if (errno == EEXIST && attempt < attempts) continue;
    const int error = errno;
    fail(path_, fmt::format("is of no use, and cannot be put aside as {}", name), error);
  }
}

std::vector<std::string> StatePath::keep() {
  is_new_ = false;
  made_folders_.clear();
  std::vector<std::string> removed;
  if (aside_.empty()) return removed;
  aside_.clear();
  std::vector<Aside> all = put_aside_before(path_);
  for (std::size_t i = 0; i + kept_aside < all.size(); ++i) {
    if (::unlink(all[i].path.c_str()) == 0) removed.push_back(all[i].path);
  }
  return removed;
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

StateFile::StateFile(std::string path) : path_(std::move(path)) {
  open();
}

StateFile::~StateFile() {
  unmap();
}

void StateFile::open() {
  constexpr int attempts = 8;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    file_ = path_.open();
    struct stat file {};
    if (::fstat(file_.get(), &file) != 0) fail(path(), "cannot be looked at", errno);
    require_own(path(), file);
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) fail(path(), "cannot be locked", errno);
      path_.leave_to_others();
      throw Error(fmt::format("state {}: another daemon uses it", path()));
    }
    if (!is_at_its_path()) {
      path_.leave_to_others();
      continue;
    }
    // Whoever had the lock before may have given it another size.
    if (::fstat(file_.get(), &file) != 0) fail(path(), "cannot be looked at", errno);
    map(static_cast<std::size_t>(file.st_size));
    return;
  }
  throw Error(fmt::format("state {}: others replace it again and again", path()));
}

// Another daemon may have removed or renamed it between its opening and its locking.
bool StateFile::is_at_its_path() const {
  struct stat own {};
  struct stat there {};
  return ::fstat(file_.get(), &own) == 0 && ::lstat(path().c_str(), &there) == 0 &&
         own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

void StateFile::unmap() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  bytes_ = {};
}

void StateFile::map(std::size_t size) {
  unmap();
  if (size == 0) return;
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (mapped == MAP_FAILED) fail(path(), "cannot be mapped", errno);
  bytes_ = {static_cast<std::byte*>(mapped), size};
}

void StateFile::put_aside(std::string_view fault) {
  notice_ = fmt::format("state {}: {}; put aside as {}, starting without sessions", path(), fault,
                        path_.put_aside());
  open();
}

std::size_t StateFile::memory_wanted(std::size_t size) const {
  struct statfs system {};
  struct stat file {};
  if (::fstatfs(file_.get(), &system) != 0 || ::fstat(file_.get(), &file) != 0) return 0;
  if (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC) return 0;
  const auto taken = static_cast<std::size_t>(file.st_blocks) * 512;
  return size - std::min(size, taken);
}

void StateFile::resize(std::size_t size) {
  allocate(size);
  map(size);
}

std::string StateFile::keep() {
  for (const std::string& gone : path_.keep()) notice_ += fmt::format("; {} removed", gone);
  return std::exchange(notice_, {});
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
  struct statfs system {};
  std::string left;
  if (error == ENOSPC && ::fstatfs(file_.get(), &system) == 0) {
    left = fmt::format(", of which its file system has {}",
                       system.f_bavail * static_cast<std::uint64_t>(system.f_bsize));
  }
  fail(path(), fmt::format("cannot be given its {} bytes{}", size, left), error);
}

std::uint64_t boot_epoch() {
  const std::string path = "/proc/sys/kernel/random/boot_id";
  std::string id;
  if (!(std::ifstream(path) >> id)) {
    throw Error(fmt::format("{} cannot be read: {}", path, std::strerror(errno)));
  }
  // The same in every build that may find the file.
  rules::Digest epoch;
  epoch.add(id);
  return epoch.value();
}

}  // namespace swnat::nfq
