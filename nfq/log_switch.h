// The mapping log, on or off as the configuration has it.
#pragma once

#include <cstdint>
#include <memory>

#include "nfq/event_feed.h"
#include "nfq/mapping_log.h"
#include "rules/config/config.h"

namespace swnat::nfq {

// Functions: one thread, but for counters().
class LogSwitch {
 public:
  // The feed must outlive this.
  explicit LogSwitch(EventFeed& feed) : feed_(feed) {}

  // What is needed with this configuration, the engine's events included.
  static std::size_t memory_used(const rules::Config& config);

  // Begins, changes or ends the log. There are `sessions` by now. Throws std::bad_alloc and
  // std::system_error, and then it is as it was.
  void follow(std::shared_ptr<const rules::Config> config, std::uint64_t sessions);
  void reopen() const;

  bool is_on() const { return log_ != nullptr; }
  const LogCounters& counters() const { return *counters_; }

 private:
  EventFeed& feed_;
  std::shared_ptr<LogCounters> counters_ = std::make_shared<LogCounters>();
  std::shared_ptr<MappingLog> log_;
  std::shared_ptr<const rules::Config> config_;
};

}  // namespace swnat::nfq
