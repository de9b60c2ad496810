// The listening socket of the control protocol, as a file.
#pragma once

#include <sys/types.h>

#include <string>

#include "nfq/file_descriptor.h"

namespace swnat::nfq {

// A folder that is made if it is missing, and then removed again at the end if it is empty.
class ControlFolder {
 public:
  explicit ControlFolder(const std::string& path);
  ~ControlFolder();
  ControlFolder(const ControlFolder&) = delete;
  ControlFolder& operator=(const ControlFolder&) = delete;

 private:
  std::string path_;
  bool is_own_ = false;
};

class ControlSocket {
 public:
  // Listens at `path`, for the file's owner and group, at first the process' own. What a daemon
  // that was killed left there is replaced; a socket that answers is not. Throws Error.
  explicit ControlSocket(const std::string& path);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  int fd() const { return fd_.get(); }

  // Lets members of this group connect. Returns why that is not possible, if so.
  std::string give_to(gid_t group) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;
  void remove_stale() const;
  void listen();

  std::string path_;
  ControlFolder folder_;
  FileDescriptor fd_;
  dev_t device_ = 0;  // of the file, so that only our own is removed
  ino_t inode_ = 0;
};

}  // namespace swnat::nfq
