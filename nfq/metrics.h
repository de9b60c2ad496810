// The daemon's numbers in the text format of Prometheus, version 0.0.4.
//
// Counters end in _total and count packets unless their HELP line says otherwise.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nfq/namespace_report.h"
#include "rules/config/config.h"

namespace swnat::nfq {

class Daemon;

class Metrics {
 public:
  explicit Metrics(const Daemon& daemon);

  // Appends some whole lines. False when they were the last. Namespaces may be many, so they come
  // in pieces; the rest is the first piece.
  bool append_piece(std::string& text);

 private:
  void append_totals(std::string& text) const;
  void append_forwards(std::string& text) const;
  bool append_namespaces(std::string& text);

  const Daemon& daemon_;
  std::shared_ptr<const rules::Config> config_;
  std::vector<NamespaceReport> namespaces_;
  bool has_totals_ = false;
  std::size_t metric_ = 0;  // of those of namespaces: each comes for all namespaces before the next
  std::size_t next_ = 0;
};

}  // namespace swnat::nfq
