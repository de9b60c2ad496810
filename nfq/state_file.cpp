#include "nfq/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>

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

}  // namespace

StateFile::StateFile(std::string path, std::size_t size) : path_(std::move(path)) {
  std::error_code ignored;  // open() tells better what is wrong
  const auto folder = std::filesystem::path(path_).parent_path();
  has_new_folder_ = std::filesystem::create_directories(folder, ignored);
  is_new_ = !std::filesystem::exists(path_, ignored);
  file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file_) fail(path_, "cannot be opened", errno);
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) fail(path_, "cannot be locked", errno);
    throw Error(fmt::format("state {}: another daemon uses it", path_));
  }
  allocate(size);
  void* mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
  if (mapped == MAP_FAILED) fail(path_, "cannot be mapped", errno);
  bytes_ = {static_cast<std::byte*>(mapped), size};
}

StateFile::~StateFile() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  std::error_code ignored;
  if (is_new_) std::filesystem::remove(path_, ignored);
  if (has_new_folder_) std::filesystem::remove(std::filesystem::path(path_).parent_path(), ignored);
}

void StateFile::clear() {
  if (::ftruncate(file_.get(), 0) != 0) fail(path_, "cannot be emptied", errno);
  allocate(bytes_.size());
}

void StateFile::allocate(std::size_t size) {
  const auto length = static_cast<off_t>(size);
  if (::ftruncate(file_.get(), length) != 0) fail(path_, "cannot be given its size", errno);
  const int error = ::posix_fallocate(file_.get(), 0, length);
  if (error != 0) fail(path_, fmt::format("cannot be given its {} bytes", size), error);
}

std::uint64_t boot_epoch() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  // FNV-1a, because it must be the same in every build that may find the file.
  std::uint64_t epoch = 0xcbf2'9ce4'8422'2325;
  for (const char c : id) epoch = (epoch ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3;
  return epoch;
}

}  // namespace swnat::nfq
