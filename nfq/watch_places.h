// How many clients may watch at once.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "nfq/error.h"
#include "nfq/peer.h"
#include "nfq/watcher.h"

namespace swnat::nfq {

// For one thread.
class WatchPlaces {
 public:
  // Leaves the other clients of the control socket as many (ControlServer::max_clients).
  static constexpr std::size_t most = 8;
  static constexpr std::size_t most_of_users = 6;  // all but root
  static constexpr std::size_t most_of_user = 3;
  static constexpr std::size_t memory_used = most * Watcher::memory_used;

  using Place = std::shared_ptr<const uid_t>;

  // A place, for as long as it is held. Throws Error if there is none.
  Place take(const Peer& peer) {
    std::erase_if(holders_, [](const auto& one) { return one.expired(); });
    const auto of_user =
        std::ranges::count_if(holders_, [&](const auto& one) { return *one.lock() == peer.user; });
    const auto of_users =
        std::ranges::count_if(holders_, [](const auto& one) { return *one.lock() != 0; });
    require_less(holders_.size(), most, "clients watch already");
    if (!peer.is_root()) {
      require_less(of_user, most_of_user, "clients of this user watch already");
      require_less(of_users, most_of_users, "clients of users other than root watch already");
    }
    auto place = std::make_shared<const uid_t>(peer.user);
    holders_.push_back(place);
    return place;
  }

 private:
  static void require_less(auto count, std::size_t limit, const char* what) {
    if (static_cast<std::size_t>(count) < limit) return;
    throw Error(fmt::format("{} {}, and no more may; end one of them", limit, what));
  }

  std::vector<std::weak_ptr<const uid_t>> holders_;
};

}  // namespace swnat::nfq
