// When the keeper of the rules looks, and when it may put back: pure arithmetic.
#pragma once

#include <algorithm>
#include <map>
#include <string>

#include "nfq/kernel_events.h"
#include "swnat/engine.h"

namespace swnat::nfq {

// Theory of operation
//
// Events come in crowds, so a look waits a moment for the rest of them. What may be other programs'
// doing is looked at once a second at most, however many events there are. Some changes tell
// nobody (iptables of the older kind, most sysctls): a look is due after a pause in any case. A
// look takes long where there are thousands of rules, and pauses grow with it.
class LookSchedule {
 public:
  static constexpr Time gathering{50};
  static constexpr Time least_between{1000};
  static constexpr Time pause{4000};
  static constexpr Time longest_pause{30'000};
  static constexpr Time busy_pause{200};
  static constexpr int most_hurries = 10;  // in a row; one more for each second

  Time due() const { return due_; }

  void saw(const KernelChange& change, Time now) {
    if (!change.is_any) return;
    const Time soon = now + gathering;
    if (soon >= due_) return;
    const bool hurries = change.is_urgent && may_hurry(now);
    due_ = std::min(due_, hurries ? soon : std::max(soon, last_ + gap_));
  }

  void looked(Time ended, Time took) {
    last_ = ended;
    gap_ = std::max(least_between, 3 * took);
    due_ = ended + std::clamp(10 * took, pause, longest_pause);
  }

  // `up` or `down` is at work.
  void found_busy(Time now) { due_ = now + busy_pause; }
  void at_latest(Time time) { due_ = std::min(due_, time); }

 private:
  // Who changes ours without end makes the looks no more frequent than others do.
  bool may_hurry(Time now) {
    const Time next = std::max(hurried_, now) + least_between;
    if (next > now + most_hurries * least_between) return false;
    hurried_ = next;
    return true;
  }

  Time hurried_{0};
  Time due_{0};
  Time last_{0};
  Time gap_ = least_between;
};

// Who undoes each repair is not fought without end: a difference that comes back again and again
// is put back at growing intervals.
class RepairPauses {
 public:
  static constexpr int free_repairs = 5;
  static constexpr Time first_pause{2000};
  static constexpr Time longest_pause{300'000};

  // When a difference may be put right the next time; now or before if at once.
  Time allowed_at(const std::string& difference) const {
    const auto found = fights_.find(difference);
    return found == fights_.end() ? Time{0} : found->second.next;
  }

  // Returns the pause until the next time, 0 for none.
  Time repaired(const std::string& difference, Time now) {
    if (fights_.size() > most_fights) fights_.clear();
    Fight& fight = fights_[difference];
    if (now - fight.last > std::max(quiet, 2 * fight.pause)) fight = {};
    fight.last = now;
    if (++fight.repairs >= free_repairs) {
      fight.pause = fight.pause == Time{0} ? first_pause : std::min(longest_pause, 2 * fight.pause);
    }
    fight.next = now + fight.pause;
    return fight.pause;
  }

 private:
  static constexpr Time quiet{30'000};
  static constexpr std::size_t most_fights = 100;
  struct Fight {
    int repairs = 0;
    Time last{0};
    Time pause{0};
    Time next{0};
  };
  std::map<std::string, Fight> fights_;
};

}  // namespace swnat::nfq
