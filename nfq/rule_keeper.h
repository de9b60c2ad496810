// Keeps the kernel's rules as `up` left them, in a thread of its own.
//
// Theory of operation
//
// The thread sleeps until netlink tells of a change that may concern the rules, or a pause is over.
// Then it inspects (rules/kernel/inspect.h). With control.repair, what others took away or changed
// is put back, and a line says what; otherwise, and where nothing can be put back, a line tells
// when the state changes. It runs programs (nft, ip, iptables-save) and waits for them, which
// nobody else does: the packets' threads do not know it, and the main thread only reads its last
// look.
//
// Besides it tells what rules made by hand got wrong, as far as the daemon can see it: queues that
// nobody reads, and packets that were queued where nothing can be done with them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/lock.h"
#include "nfq/file_descriptor.h"
#include "nfq/kernel_events.h"
#include "nfq/look_schedule.h"
#include "rules/config/config.h"
#include "rules/found/queue_rules.h"
#include "rules/kernel/inspect.h"

namespace swnat::nfq {

struct RuleStatus {
  rules::Inspection seen;
  std::uint64_t repairs = 0;      // times that something was put back
  std::size_t unread_queues = 0;  // that rules of others name
};

// Packets that tell of wrong rules, so far.
struct StrayPackets {
  std::uint64_t wrong_hook = 0;
  std::uint64_t unknown_namespace = 0;
};

class RuleKeeper {
 public:
  using CountStrays = std::function<StrayPackets()>;

  // `count` is called in the keeper's thread. Throws Error.
  RuleKeeper(std::shared_ptr<const rules::Config> config, CountStrays count);
  ~RuleKeeper();
  RuleKeeper(const RuleKeeper&) = delete;
  RuleKeeper& operator=(const RuleKeeper&) = delete;

  // Waits for the first look, but not for long: what is wrong from the start is then known.
  void start();
  // Ends the thread after the program that it may be waiting for.
  void request_stop();

  void set_config(std::shared_ptr<const rules::Config> config);
  // Of the last look; never waits for one.
  RuleStatus status() const;

 private:
  void run();
  void wait();
  void wake();
  void look();
  std::optional<rules::Inspection> inspect();
  bool repair(const rules::Inspection& seen);
  void add_hand_made(rules::Inspection& seen);
  void read_others_rules();
  void add_strays(rules::Inspection& seen);
  void tell(rules::Inspection seen, bool was_repaired);
  void tell_fault(const std::string& text);

  CountStrays count_;
  KernelEvents events_;
  FileDescriptor wakeup_;
  std::atomic<bool> stopping_{false};

  mutable Mutex mutex_;
  std::shared_ptr<const rules::Config> next_config_ SWNAT_GUARDED_BY(mutex_);
  RuleStatus status_ SWNAT_GUARDED_BY(mutex_);
  bool has_looked_ SWNAT_GUARDED_BY(mutex_) = false;
  std::condition_variable_any first_look_;

  // The thread's own.
  std::shared_ptr<const rules::Config> config_;
  std::unique_ptr<rules::Inspector> inspector_;
  LookSchedule schedule_;
  Time inspection_took_{0};
  RepairPauses pauses_;
  StrayPackets strays_;
  std::vector<rules::QueueRule> queue_rules_;
  std::vector<std::string> others_notes_;
  std::set<std::uint16_t> unread_queues_;
  Time others_rules_seen_{0};
  Time wrong_hook_seen_{0};
  Time unknown_seen_{0};
  std::string told_ = "as configured";
  std::string told_fault_;
  std::set<std::string> told_notes_;
  std::thread thread_;
};

// "as configured", "differ: WHAT; WHAT", "missing".
std::string state_text(const rules::Inspection& seen);
// The same without the differences.
std::string_view state_name(rules::RuleState state);

}  // namespace swnat::nfq
