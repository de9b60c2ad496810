#include "nfq/log_switch.h"

#include <utility>

namespace swnat::nfq {

void LogSwitch::follow(std::shared_ptr<const rules::Config> config, std::uint64_t sessions) {
  if (!config->log) {
    if (log_) feed_.remove(log_.get());
    log_.reset();
  } else if (log_ && config_->log == config->log && log_->kinds() == log_kinds(*config)) {
    log_->set_config(config);
  } else {
    auto log = std::make_shared<MappingLog>(config, counters_, sessions);
    // At once, so that no event is told to neither.
    feed_.replace(log_.get(), log);
    log_ = std::move(log);
  }
  config_ = std::move(config);
}

void LogSwitch::reopen() const {
  if (log_) log_->reopen();
}

}  // namespace swnat::nfq
