// The metrics as a file, for the textfile collector of Prometheus' node_exporter.
#pragma once

#include <optional>
#include <string>

#include "nfq/event_loop.h"
#include "nfq/metrics.h"

namespace swnat::nfq {

// Writes it at once, and then again and again, until this is destroyed, which removes it: the
// numbers of a daemon that has ended are no use. Whoever reads it finds a whole one, always.
class MetricsFile {
 public:
  static constexpr std::uint64_t pause_microseconds = 15'000'000;

  // Throws Error. A file that cannot be written is logged, once until it can.
  MetricsFile(sd_event* loop, std::string path, MakeMetrics make);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  static int on_time(sd_event_source* source, std::uint64_t time, void* self);
  bool make_piece();
  void write();
  // Returns an errno, or 0.
  int replace() const;

  std::string path_;
  std::string new_path_;
  MakeMetrics make_;
  std::optional<Metrics> metrics_;  // while they are made
  std::string text_;
  bool is_written_ = false;
  bool is_fault_told_ = false;
  EventSource timer_;
};

}  // namespace swnat::nfq
