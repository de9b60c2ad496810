#include "nfq/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace swnat::nfq {
namespace {

constexpr mode_t mode = 0640;
constexpr int how = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

bool ends_in_a_line(int fd, off_t size) {
  char last = '\n';
  return size == 0 || ::pread(fd, &last, 1, size - 1) != 1 || last == '\n';
}

}  // namespace

LogFile::LogFile(std::string path, LogCounters& counters)
    : LogOutput(LogOutputKind::file, path, counters), path_(std::move(path)) {}

std::string LogFile::open() {
  FileDescriptor file(::open(path_.c_str(), how | O_CREAT | O_EXCL, mode));
  if (file) {
    ::fchmod(file.get(), mode);  // whatever the umask is
  } else if (errno == EEXIST) {
    file = FileDescriptor(::open(path_.c_str(), how));
  }
  struct stat found {};
  if (!file || ::fstat(file.get(), &found) != 0) return std::strerror(errno);
  if (!S_ISREG(found.st_mode)) return "it is no file";
  is_cut_ = !ends_in_a_line(file.get(), found.st_size);
  file_ = std::move(file);
  return {};
}

LogOutput::Taken LogFile::take(const LogBatch& batch, Time /*now*/) {
  if (!file_) {
    if (std::string fault = open(); !fault.empty()) return {0, std::move(fault)};
  }
  if (is_cut_) {
    if (::write(file_.get(), "\n", 1) != 1) return {0, std::strerror(errno)};
    is_cut_ = false;
  }
  std::string_view rest = batch.text();
  std::size_t lines = 0;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return {lines, written == 0 ? "nothing is taken" : std::strerror(errno)};
    const std::string_view taken = rest.substr(0, static_cast<std::size_t>(written));
    lines += static_cast<std::size_t>(std::ranges::count(taken, '\n'));
    is_cut_ = taken.back() != '\n';
    rest.remove_prefix(taken.size());
  }
  return {lines, {}};
}

}  // namespace swnat::nfq
