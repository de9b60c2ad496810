// The file that the session records lie in, so that sessions outlive the daemon, however it ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "nfq/file_descriptor.h"

namespace swnat::nfq {

// A file, and the folders that it lies in. What was made for it goes again with this object until
// keep() is called, so that a start that fails leaves nothing.
class StatePath {
 public:
  explicit StatePath(std::string path) : path_(std::move(path)) {}
  ~StatePath();
  StatePath(const StatePath&) = delete;
  StatePath& operator=(const StatePath&) = delete;

  // Opens the file, or makes it (mode 0600) with the folders that are missing. Throws Error.
  FileDescriptor open();
  const std::string& text() const { return path_; }

  void keep();

 private:
  void make_folders();

  std::string path_;
  std::vector<std::string> made_folders_;  // outer before inner
  bool is_new_ = false;
};

class StateFile {
 public:
  // Opens or makes the file, gives it `size` bytes and maps it. The disk space is taken at once: a
  // disk that is full must be an error here, not the daemon's end at some packet. No other daemon
  // may have it, and no other user may own it or write to it. Throws Error: a daemon that started
  // without its sessions instead would break connections, and leave whoever put that file there
  // unnoticed.
  StateFile(std::string path, std::size_t size);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  const std::string& path() const { return path_.text(); }
  std::span<std::byte> bytes() const { return bytes_; }

  void keep() { path_.keep(); }

  // Forgets what it holds. Throws Error.
  void clear();

 private:
  void allocate(std::size_t size);

  StatePath path_;
  FileDescriptor file_;
  std::span<std::byte> bytes_;
};

// Names this start of the machine: ticks of an earlier one say nothing. Throws Error.
std::uint64_t boot_epoch();

}  // namespace swnat::nfq
