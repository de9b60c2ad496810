// How many clients may watch at once.
#pragma once

#include <fmt/format.h>

#include <memory>

#include "nfq/error.h"
#include "nfq/watcher.h"

namespace swnat::nfq {

// For one thread.
class WatchPlaces {
 public:
  // Leaves the other clients of the control socket as many (ControlServer::max_clients).
  static constexpr long most = 8;
  static constexpr std::size_t memory_used = most * Watcher::memory_used;

  // A place, for as long as it is held. Throws Error if there is none.
  std::shared_ptr<const void> take() const {
    if (holders_.use_count() <= most) return holders_;
    throw Error(fmt::format("{} clients watch already, and no more may; end one of them", most));
  }

 private:
  std::shared_ptr<const int> holders_ = std::make_shared<int>();
};

}  // namespace swnat::nfq
