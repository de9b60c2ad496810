// The metrics that have a line for each namespace.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nfq/namespace_report.h"
#include "rules/config/config.h"

namespace swnat::nfq {

class NamespaceMetrics {
 public:
  // Where there are more namespaces, only those that translated most bytes since the start have
  // lines, so that a scrape stays small and its labels stay the same.
  static constexpr std::size_t most_shown = 500;

  // The engine must outlive it.
  NamespaceMetrics(const Engine& engine, std::shared_ptr<const rules::Config> config);

  // Reads some of the sessions. False when they were the last; before, there is nothing to tell.
  bool read_piece();
  // Appends some whole lines. False when they were the last.
  bool append_piece(std::string& text);

  std::size_t count() const { return count_; }
  std::size_t shown() const { return shown_.size(); }

 private:
  const Engine& engine_;
  std::shared_ptr<const rules::Config> config_;
  TrafficReading reading_;
  std::size_t count_ = 0;
  std::vector<NamespaceReport> shown_;  // by id
  std::size_t metric_ = 0;              // each comes for all namespaces before the next
  std::size_t next_ = 0;
};

}  // namespace swnat::nfq
