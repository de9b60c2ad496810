// The mapping log in a file: lines of JSON, appended.
#pragma once

#include <string>

#include "nfq/file_descriptor.h"
#include "nfq/log_output.h"

namespace swnat::nfq {

// A line that the disk took only a part of is ended before the next one. A file that is made here
// has the mode 0640; what is no file, such as a pipe that nobody may read, is refused.
class LogFile : public LogOutput {
 public:
  LogFile(std::string path, LogCounters& counters);

 private:
  Taken take(const LogBatch& batch, Time now) override;
  // So that whoever rotates files finds the new one at once.
  std::string keep(Time /*now*/) override { return file_ ? std::string() : open(); }
  void close() override { file_.reset(); }
  std::string open();

  std::string path_;
  FileDescriptor file_;
  bool is_cut_ = false;  // its last line has no end
};

}  // namespace swnat::nfq
