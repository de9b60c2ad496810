#include "rules/kernel/record.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "rules/kernel/kernel.h"
#include "rules/kernel/record_json.h"
#include "rules/kernel/record_place.h"

namespace swnat::rules {
namespace {

// Nothing if there is none.
std::optional<std::string> read_record(const std::string& path) {
  errno = 0;
  std::ifstream file(path);
  if (!file && errno == ENOENT) return std::nullopt;
  std::ostringstream text;
  // Of an empty file nothing is written, which is no failure of reading.
  if (file && (file.peek() == EOF || text << file.rdbuf()) && !file.bad()) return text.str();
  throw KernelError(fmt::format("record {} cannot be read: {}", path, std::strerror(errno)));
}

std::optional<Record> found_record(const std::string& path) {
  const auto text = read_record(path);
  if (!text) return std::nullopt;
  try {
    return record_from_json(*text, origin_here());
  } catch (const RecordDamage& damage) {
    throw KernelError(
        fmt::format("record {} is damaged: {}; run `swnat-nfq down`, which removes"
                    " what it recognises, and then `up` again",
                    path, damage.what()));
  }
}

// Folders where something is left stay.
void remove_empty(const std::vector<std::string>& folders) {
  for (auto path = folders.rbegin(); path != folders.rend(); ++path) rmdir(path->c_str());
}

}  // namespace

RecordFolder::RecordFolder(const std::string& control_socket)
    : RecordFolder(control_socket, true) {}

std::unique_ptr<RecordFolder> RecordFolder::try_to_lock(const std::string& control_socket) {
  std::unique_ptr<RecordFolder> folder(new RecordFolder(control_socket, false));
  return folder->is_locked() ? std::move(folder) : nullptr;
}

RecordFolder::RecordFolder(const std::string& control_socket, bool waits)
    : folder_(std::filesystem::path(control_socket).parent_path()),
      file_(record_path(control_socket)) {
  // Another process may remove the folder between our making and our locking it.
  while (!open_and_lock(waits)) {
  }
}

RecordFolder::~RecordFolder() {
  remove_empty(made_);
  if (fd_ >= 0) close(fd_);
}

// False where somebody else has it and this does not wait. Another `up` or `down` is soon done, but
// one that waits to be confirmed may take its time.
bool RecordFolder::lock(bool waits) const {
  constexpr std::chrono::seconds longest_wait{60};
  const auto end = std::chrono::steady_clock::now() + longest_wait;
  while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      throw KernelError(fmt::format("{} cannot be locked: {}", folder_, std::strerror(errno)));
    }
    if (!waits) return false;
    if (std::chrono::steady_clock::now() > end) {
      throw KernelError(
          "another `swnat-nfq up` or `down` is under way, or an `up --confirm` waits for"
          " `swnat-nfq confirm`; end that first");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

// False to be called again. Where it does not wait it may succeed without the lock.
bool RecordFolder::open_and_lock(bool waits) {
  std::vector<std::string> missing;
  for (std::filesystem::path path = folder_; !path.empty() && access(path.c_str(), F_OK) != 0;
       path = path.parent_path()) {
    missing.insert(missing.begin(), path);
  }
  for (const std::string& path : missing) {
    if (mkdir(path.c_str(), 0755) == 0) {
      if (std::find(made_.begin(), made_.end(), path) == made_.end()) made_.push_back(path);
    } else if (errno != EEXIST) {
      throw KernelError(
          fmt::format("the folder {} cannot be made: {}", path, std::strerror(errno)));
    } else if (std::error_code ignored; std::filesystem::is_symlink(path, ignored)) {
      // It would stay as it is, however often this is tried.
      throw KernelError(fmt::format(
          "the folder {} cannot be made: a symbolic link to nothing is in its place", path));
    }
  }
  fd_ = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd_ < 0 && errno == ENOENT) return false;
  if (fd_ < 0)
    throw KernelError(fmt::format("{} cannot be opened: {}", folder_, std::strerror(errno)));
  if (!lock(waits)) {
    close(fd_);
    fd_ = -1;
    return true;
  }
  struct stat locked {};
  struct stat named {};
  if (fstat(fd_, &locked) == 0 && stat(folder_.c_str(), &named) == 0 &&
      locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) {
    return true;
  }
  close(fd_);
  fd_ = -1;
  return false;
}

std::optional<std::string> RecordFolder::read() const {
  return read_record(file_);
}

std::optional<Record> RecordFolder::find() const {
  return found_record(file_);
}

std::optional<std::string> RecordFolder::put_damaged_aside() const {
  const auto text = read();
  if (!text) return std::nullopt;
  try {
    record_from_json(*text, origin_here());
    return std::nullopt;
  } catch (const RecordDamage& damage) {
    const std::string aside = file_ + ".damaged";
    if (rename(file_.c_str(), aside.c_str()) != 0) {
      throw KernelError(fmt::format("{} cannot be renamed: {}", file_, std::strerror(errno)));
    }
    return fmt::format("record {} is damaged: {}; it is kept as {}", file_, damage.what(), aside);
  }
}

Record RecordFolder::load() const {
  Record record = find().value_or(Record{});
  for (const std::string& path : made_) {
    if (std::find(record.made_folders.begin(), record.made_folders.end(), path) ==
        record.made_folders.end()) {
      record.made_folders.push_back(path);
    }
  }
  return record;
}

void RecordFolder::save(const Record& record) const {
  replace_file(file_, to_json(record, origin_here()), Survives::machine);
  fsync(fd_);
}

void RecordFolder::remove(const Record& record) const {
  unlink(file_.c_str());
  unlink((file_ + ".new").c_str());
  remove_empty(record.made_folders);
}

std::optional<Record> record_beside(const std::string& control_socket) {
  return found_record(record_path(control_socket));
}

std::string record_path(const std::string& control_socket) {
  return place_beside(control_socket, "up") + ".json";
}

}  // namespace swnat::rules
