#include "nfq/log_switch.h"

#include <system_error>
#include <utility>

namespace swnat::nfq {

std::size_t LogSwitch::memory_used(const rules::Config& config) {
  return config.log ? MappingLog::memory_used : 0;
}

void LogSwitch::follow(std::shared_ptr<const rules::Config> config, std::uint64_t sessions) {
  if (!config->log) {
    if (log_) feed_.remove(log_.get());
    retire(std::exchange(log_, nullptr));
  } else if (log_ && config_->log == config->log && log_->kinds() == log_kinds(*config)) {
    log_->set_config(config);
  } else {
    auto log = std::make_shared<MappingLog>(config, counters_, sessions);
    // At once, so that no event is told to neither.
    feed_.replace(log_.get(), log);
    retire(std::exchange(log_, std::move(log)));
  }
  config_ = std::move(config);
}

void LogSwitch::retire(const std::shared_ptr<MappingLog>& log) {
  if (!log) return;
  try {
    ending_.emplace_back([log] { log->finish(); });
  } catch (const std::system_error&) {
    log->finish();  // there are no more threads to be had
  }
}

LogSwitch::~LogSwitch() {
  for (std::thread& each : ending_) each.join();
}

void LogSwitch::reopen() const {
  if (log_) log_->reopen();
}

}  // namespace swnat::nfq
