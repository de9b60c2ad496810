// The mapping log, on or off as the configuration has it.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "nfq/event_feed.h"
#include "nfq/mapping_log.h"
#include "rules/config/config.h"

namespace swnat::nfq {

// Functions: one thread, but for counters().
class LogSwitch {
 public:
  // The feed must outlive this.
  explicit LogSwitch(EventFeed& feed) : feed_(feed) {}
  // Waits until all logs have written what they were given.
  ~LogSwitch();
  LogSwitch(const LogSwitch&) = delete;
  LogSwitch& operator=(const LogSwitch&) = delete;

  // What is needed with this configuration.
  static std::size_t memory_used(const rules::Config& config);

  // Begins, changes or ends the log. There are `sessions` by now. Throws std::bad_alloc and
  // std::system_error, and then it is as it was.
  void follow(std::shared_ptr<const rules::Config> config, std::uint64_t sessions);
  void reopen() const;

  bool is_on() const { return log_ != nullptr; }
  const LogCounters& counters() const { return *counters_; }

 private:
  void retire(const std::shared_ptr<MappingLog>& log);

  EventFeed& feed_;
  std::shared_ptr<LogCounters> counters_ = std::make_shared<LogCounters>();
  std::shared_ptr<MappingLog> log_;
  std::shared_ptr<const rules::Config> config_;
  // Of logs that end: who has to write to a slow disk does not hold up who reloads.
  std::vector<std::thread> ending_;
};

}  // namespace swnat::nfq
