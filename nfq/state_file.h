// The file that the session records lie in, so that sessions outlive the daemon, however it ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "nfq/file_descriptor.h"

namespace swnat::nfq {

class StateFile {
 public:
  // Opens or makes the file (mode 0600, and its folder; both go again with this object until keep()
  // is called, so that a start that fails leaves nothing), gives it `size` bytes and maps it. The
  // disk space is taken at once: a disk that is full must be an error here, not the daemon's end at
  // some packet. No other daemon may have it. Throws Error.
  StateFile(std::string path, std::size_t size);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<std::byte> bytes() const { return bytes_; }

  void keep() { is_new_ = has_new_folder_ = false; }

  // Forgets what it holds. Throws Error.
  void clear();

 private:
  void allocate(std::size_t size);

  std::string path_;
  bool is_new_ = false;
  bool has_new_folder_ = false;
  FileDescriptor file_;
  std::span<std::byte> bytes_;
};

// Names this start of the machine: ticks of an earlier one say nothing.
std::uint64_t boot_epoch();

}  // namespace swnat::nfq
