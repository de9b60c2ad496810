// Where the metrics go by themselves: to a file, and to whoever asks by HTTP.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "nfq/metrics_file.h"
#include "nfq/metrics_server.h"
#include "rules/config/config.h"

namespace swnat::nfq {

class MetricsOutlets {
 public:
  // Listens, if the configuration says where. Throws Error.
  MetricsOutlets(sd_event* loop, const rules::Config& config, MakeMetrics make)
      : loop_(loop), make_(std::move(make)) {
    if (!config.metrics_listen) return;
    server_ = std::make_unique<MetricsServer>(loop, *config.metrics_listen, make_);
  }

  // Writes the file that the configuration names from now on, and no other.
  void write_file(const rules::Config& config) {
    const std::string& path = config.metrics_textfile;
    if (file_ && file_->path() == path) return;
    file_.reset();
    if (!path.empty()) file_ = std::make_unique<MetricsFile>(loop_, path, make_);
  }

 private:
  sd_event* loop_;
  MakeMetrics make_;
  std::unique_ptr<MetricsServer> server_;
  std::unique_ptr<MetricsFile> file_;
};

}  // namespace swnat::nfq
