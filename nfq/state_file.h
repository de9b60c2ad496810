// The file that the session records lie in, so that sessions outlive the daemon, however it ended.
//
// What it holds may be of no use to this daemon: another boot's, another configuration's, or no
// sessions at all. Then it is put aside, and never emptied: renamed to FILE.aside-N, where N counts
// up, so that the name that was told stays right. The last few are kept. Whoever wants one back
// ends the daemon, renames it, and starts the daemon with the configuration that it is of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nfq/file_descriptor.h"

namespace swnat::nfq {

inline constexpr std::size_t kept_aside = 3;

// A file, and the folders that it lies in. What was made for it goes again with this object until
// keep() is called, and what was put aside comes back, so that a start that fails changes nothing.
class StatePath {
 public:
  explicit StatePath(std::string path) : path_(std::move(path)) {}
  ~StatePath();
  StatePath(const StatePath&) = delete;
  StatePath& operator=(const StatePath&) = delete;

  // Opens the file, or makes it (mode 0600) with the folders that are missing. Throws Error.
  FileDescriptor open();
  const std::string& text() const { return path_; }
  // The file at the path is another daemon's, whoever made it.
  void leave_to_others() { is_new_ = false; }

  // Renames the file; returns its new name. Throws Error.
  const std::string& put_aside();

  // Removes the oldest of what was put aside, beyond `kept_aside`. Returns which.
  std::vector<std::string> keep();

 private:
  void make_folders();

  std::string path_;
  std::vector<std::string> made_folders_;  // outer before inner
  std::string aside_;  // where the file is now that was there; empty if it is not
  bool is_new_ = false;
};

class StateFile {
 public:
  // Opens or makes the file, and maps what it holds. No other daemon may have it, and no other user
  // may own it or write to it. Throws Error: a daemon that started without its sessions instead
  // would break connections, and leave whoever put that file there unnoticed.
  explicit StateFile(std::string path);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  const std::string& path() const { return path_.text(); }
  std::span<std::byte> bytes() const { return bytes_; }

  // Puts aside what it holds, which is wrong in that way, and begins a new one that is empty.
  // Throws Error.
  void put_aside(std::string_view fault);

  // How much of `size` bytes must still be taken from memory, because the file system lies there.
  // Nothing if it does not.
  std::size_t memory_wanted(std::size_t size) const;

  // Gives it that many bytes, and maps them. The disk space is taken at once: a disk that is full
  // must be an error here, not the daemon's end at some packet. Throws Error.
  void resize(std::size_t size);

  // From now on the file is there to stay. Returns what was put aside, and where, in a line; empty
  // if nothing was.
  std::string keep();

 private:
  void open();
  bool is_at_its_path() const;
  void unmap();
  void map(std::size_t size);
  void allocate(std::size_t size);

  FileDescriptor file_;
  StatePath path_;  // gone first: what it undoes is done under the file's lock
  std::span<std::byte> bytes_;
  std::string notice_;
};

// Names this start of the machine: ticks of an earlier one say nothing. Throws Error.
std::uint64_t boot_epoch();

}  // namespace swnat::nfq
