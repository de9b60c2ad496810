#include "nfq/metrics_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string_view>
#include <utility>

#include "nfq/error.h"
#include "nfq/file_descriptor.h"
#include "nfq/log.h"

namespace swnat::nfq {
namespace {

constexpr mode_t file_mode = 0644;

// Returns an errno, or 0.
int write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(file, text.data(), text.size());
    if (size < 0 && errno != EINTR) return errno;
    if (size > 0) text.remove_prefix(static_cast<std::size_t>(size));
  }
  return 0;
}

}  // namespace

MetricsFile::MetricsFile(sd_event* loop, std::string path, MakeMetrics make)
    : path_(std::move(path)), new_path_(path_ + ".new"), make_(std::move(make)) {
  sd_event_source* source = nullptr;
  const int result =
      sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, 0, timer_accuracy, on_time, this);
  if (result < 0) throw Error(fmt::format("metrics.textfile: {}", std::strerror(-result)));
  timer_.reset(source);
}

MetricsFile::~MetricsFile() {
  if (is_written_) ::unlink(path_.c_str());
}

// One piece each time, so that the daemon's other events have their turn.
int MetricsFile::on_time(sd_event_source* source, std::uint64_t, void* self) {
  auto& file = *static_cast<MetricsFile*>(self);
  bool goes_on = false;
  try {
    goes_on = file.make_piece();
    if (!goes_on) file.write();
  } catch (const std::exception& error) {
    log(Priority::warning, "metrics.textfile {}: {}", file.path_, error.what());
  }
  if (!goes_on) {
    file.metrics_.reset();
    file.text_.clear();
  }
  sd_event_source_set_time_relative(source, goes_on ? 0 : pause_microseconds);
  return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

bool MetricsFile::make_piece() {
  if (!metrics_) metrics_.emplace(make_());
  return metrics_->append_piece(text_);
}

void MetricsFile::write() {
  const int error = replace();
  if (error == 0) {
    is_written_ = true;
  } else if (!is_fault_told_) {
    log(Priority::warning, "metrics.textfile {}: cannot be written: {}", path_,
        std::strerror(error));
  }
  is_fault_told_ = error != 0;
}

// What somebody else put in the new file's place is not followed and not written to.
int MetricsFile::replace() const {
  ::unlink(new_path_.c_str());
  const FileDescriptor file(
      ::open(new_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file_mode));
  if (!file) return errno;
  int error = ::fchmod(file.get(), file_mode) == 0 ? 0 : errno;  // whatever the umask says
  if (error == 0) error = write_all(file.get(), text_);
  if (error == 0 && ::rename(new_path_.c_str(), path_.c_str()) != 0) error = errno;
  if (error != 0) ::unlink(new_path_.c_str());
  return error;
}

}  // namespace swnat::nfq
