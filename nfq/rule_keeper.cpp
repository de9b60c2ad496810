#include "nfq/rule_keeper.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/log.h"
#include "nfq/queue_table.h"
#include "nfq/rule_counters.h"
#include "rules/found/operators_rules.h"
#include "rules/found/printed_rules.h"
#include "rules/found/remains.h"
#include "rules/kernel/kernel.h"

namespace swnat::nfq {
namespace {

// For how long stray packets are told in the status after the last one came.
constexpr Time stray_memory{60'000};
// Other programs' rules matter less where there are ours.
constexpr Time others_rules_pause{30'000};
constexpr std::chrono::seconds longest_start{2};

bool is_read(std::uint16_t queue, const std::vector<KernelQueue>& bound) {
  return std::ranges::find(bound, queue, &KernelQueue::number) != bound.end();
}

std::set<std::string, std::less<>> interfaces_of(const rules::Config& config) {
  std::set<std::string, std::less<>> names = {config.external_interface};
  for (const rules::NamespaceConfig& each : config.namespaces) {
    names.insert(each.interfaces.begin(), each.interfaces.end());
  }
  return names;
}

// Rules of others that send packets to where nobody takes them, a line each; all such queues are
// added to `all`.
std::vector<std::string> unread_queues(const std::vector<rules::QueueRule>& rules,
                                       const rules::Config& config, std::set<std::uint16_t>& all) {
  std::vector<std::string> lines;
  const auto bound = kernel_queues();
  if (!bound) return lines;
  const std::string own = rules::queues_text(config.first_queue, config.workers);
  for (const rules::QueueRule& rule : rules) {
    if (rule.is_ours) continue;
    std::vector<std::uint16_t> unread;
    std::ranges::copy_if(rule.queues, std::back_inserter(unread),
                         [&](std::uint16_t queue) { return !is_read(queue, *bound); });
    if (unread.empty()) continue;
    all.insert(unread.begin(), unread.end());
    lines.push_back(fmt::format("{} names queue{} {}, which nobody reads; the daemon reads {}",
                                rule.where, unread.size() == 1 ? "" : "s", fmt::join(unread, ", "),
                                own));
  }
  std::ranges::sort(lines);
  lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
  return lines;
}

}  // namespace

std::string_view state_name(rules::RuleState state) {
  switch (state) {
    case rules::RuleState::as_configured:
      return "as configured";
    case rules::RuleState::differ:
      return "differ";
    case rules::RuleState::missing:
      break;
  }
  return "missing";
}

std::string state_text(const rules::Inspection& seen) {
  if (seen.differences.empty()) return std::string(state_name(seen.state));
  return fmt::format("{}: {}", state_name(seen.state), fmt::join(seen.differences, "; "));
}

RuleKeeper::RuleKeeper(std::shared_ptr<const rules::Config> config, CountStrays count)
    : count_(std::move(count)),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      next_config_(std::move(config)) {
  status_.seen.state = rules::RuleState::differ;
  status_.seen.differences = {"not looked at yet"};
  if (!wakeup_) throw Error(fmt::format("eventfd: {}", std::strerror(errno)));
}

RuleKeeper::~RuleKeeper() {
  request_stop();
  if (thread_.joinable()) thread_.join();
}

void RuleKeeper::start() {
  thread_ = std::thread([this] { run(); });
  const Lock lock(mutex_);
  first_look_.wait_for(mutex_, longest_start,
                       [this]() SWNAT_REQUIRES(mutex_) { return has_looked_; });
}

void RuleKeeper::request_stop() {
  stopping_ = true;
  wake();
}

void RuleKeeper::wake() {
  const std::uint64_t one = 1;
  // It fails only where it is woken already.
  [[maybe_unused]] const ssize_t written = ::write(wakeup_.get(), &one, sizeof one);
}

void RuleKeeper::set_config(std::shared_ptr<const rules::Config> config) {
  {
    const Lock lock(mutex_);
    next_config_ = std::move(config);
  }
  wake();
}

RuleStatus RuleKeeper::status() const {
  const Lock lock(mutex_);
  return status_;
}

void RuleKeeper::run() {
  ::pthread_setname_np(::pthread_self(), "rules");
  while (!stopping_) {
    wait();
    schedule_.saw(events_.read(), now());
    if (stopping_ || now() < schedule_.due()) continue;
    look();
    const Lock lock(mutex_);
    has_looked_ = true;
    first_look_.notify_all();
  }
}

// For an event, to be woken, or for the time of the next look.
void RuleKeeper::wait() {
  const auto [rules, routing] = events_.fds();
  std::array<pollfd, 3> all{{{rules, POLLIN, 0}, {routing, POLLIN, 0}, {wakeup_.get(), POLLIN, 0}}};
  const Time left = std::clamp(schedule_.due() - now(), Time{0}, Time{60'000});
  ::poll(all.data(), all.size(), static_cast<int>(left.count()));
  std::uint64_t count = 0;
  if (::read(wakeup_.get(), &count, sizeof count) > 0) schedule_.at_latest(now());
}

void RuleKeeper::look() {
  try {
    auto seen = inspect();
    if (!seen) return schedule_.found_busy(now());
    const bool was_repaired = repair(*seen);
    if (was_repaired) {
      // Of our own making; what others did meanwhile is seen now.
      events_.read();
      seen = inspect();
      if (!seen) return schedule_.found_busy(now());
    }
    schedule_.looked(now(), inspection_took_);
    if (seen->is_repairable && config_->repair) {
      schedule_.at_latest(std::max(now() + LookSchedule::least_between,
                                   pauses_.allowed_at(seen->differences.front())));
    }
    // Last, so that nothing waits for programs that only tell of others' rules.
    add_hand_made(*seen);
    add_strays(*seen);
    // The queues are given up meanwhile: what it saw is over.
    if (stopping_) return;
    tell(std::move(*seen), was_repaired);
    tell_fault("");
  } catch (const std::exception& error) {
    schedule_.looked(now(), inspection_took_);
    tell_fault(error.what());
  }
}

std::optional<rules::Inspection> RuleKeeper::inspect() {
  {
    const Lock lock(mutex_);
    if (next_config_) {
      config_ = std::exchange(next_config_, nullptr);
      inspector_.reset();
      others_rules_seen_ = Time{0};
    }
  }
  if (!inspector_) {
    inspector_ = std::make_unique<rules::Inspector>(config_);
    events_.set_interfaces(interfaces_of(*config_));
  }
  const Time started = now();
  auto seen = inspector_->inspect(rules_generation());
  inspection_took_ = now() - started;
  if (!seen) return seen;
  return seen;
}

// Whether anything was put back, and perhaps undone again since.
bool RuleKeeper::repair(const rules::Inspection& seen) {
  if (!seen.is_repairable || !config_->repair) return false;
  const std::string& difference = seen.differences.front();
  if (now() < pauses_.allowed_at(difference)) return false;
  const Time pause = pauses_.repaired(difference, now());
  const auto done = inspector_->repair();
  if (!done || done->empty()) return false;
  log(Priority::warning, "rules: put back: {}", fmt::join(*done, ", "));
  if (pause != Time{0}) {
    log(Priority::warning,
        "rules: {}, again and again: somebody else changes it, so it is put back in {} s at the"
        " earliest",
        difference, pause.count() / 1000);
  }
  const Lock lock(mutex_);
  ++status_.repairs;
  return true;
}

// Without a record, rules may be by hand. With one, what others queue is only worth a note.
void RuleKeeper::add_hand_made(rules::Inspection& seen) {
  if (!seen.has_record || others_rules_seen_ == Time{0} ||
      now() - others_rules_seen_ > others_rules_pause) {
    read_others_rules();
    others_rules_seen_ = now();
  }
  unread_queues_.clear();
  std::vector<std::string> lines = unread_queues(queue_rules_, *config_, unread_queues_);
  const bool is_by_hand = !rules::others_that_queue(queue_rules_, *config_).empty();
  if (!seen.has_record && (is_by_hand || !lines.empty())) {
    if (seen.state == rules::RuleState::missing) {
      seen.differences.emplace_back("made by hand, so they are neither compared nor put back");
    }
    seen.state = rules::RuleState::differ;
  }
  auto& told = seen.has_record ? seen.notes : seen.differences;
  std::ranges::move(lines, std::back_inserter(told));
  std::ranges::copy(others_notes_, std::back_inserter(seen.notes));
}

// What they were when they cannot be read stays, with a note that says so.
void RuleKeeper::read_others_rules() {
  try {
    const rules::PrintedRules printed = rules::printed_rules(*config_);
    queue_rules_ = rules::queue_rules(printed);
    others_notes_ = rules::missing_operators_rules(*config_, printed);
  } catch (const rules::KernelError& error) {
    others_notes_ = {fmt::format("rules of others are not known: {}", error.what())};
  }
}

void RuleKeeper::add_strays(rules::Inspection& seen) {
  const StrayPackets counts = count_();
  if (counts.wrong_hook > strays_.wrong_hook) wrong_hook_seen_ = now();
  if (counts.unknown_namespace > strays_.unknown_namespace) unknown_seen_ = now();
  strays_ = counts;
  const bool is_by_hand = !seen.has_record && seen.state == rules::RuleState::differ;
  auto& told = is_by_hand ? seen.differences : seen.notes;
  const auto is_recent = [](Time time) { return time != Time{0} && now() - time < stray_memory; };
  if (is_recent(wrong_hook_seen_)) {
    told.emplace_back("a rule queues packets in a hook where nothing is translated (wrong_hook)");
  }
  if (is_recent(unknown_seen_)) {
    told.emplace_back(
        "packets without a namespace's fwmark are queued on their way out (unknown_namespace)");
  }
}

void RuleKeeper::tell(rules::Inspection seen, bool was_repaired) {
  const std::string text = state_text(seen);
  // What is right again was told by what was put back.
  const bool is_right = seen.state == rules::RuleState::as_configured;
  if (text != std::exchange(told_, text) && !(was_repaired && is_right)) {
    log(is_right ? Priority::notice : Priority::warning, "rules: {}", text);
  }
  std::set<std::string> notes(seen.notes.begin(), seen.notes.end());
  for (const std::string& note : notes) {
    if (!told_notes_.contains(note)) log(Priority::notice, "{}", note);
  }
  told_notes_ = std::move(notes);
  const Lock lock(mutex_);
  status_.seen = std::move(seen);
  status_.unread_queues = unread_queues_.size();
}

// That it cannot look or put back, once.
void RuleKeeper::tell_fault(const std::string& text) {
  if (text == std::exchange(told_fault_, text) || text.empty()) return;
  log(Priority::error, "rules: {}", text);
  const Lock lock(mutex_);
  status_.seen.state = rules::RuleState::differ;
  status_.seen.differences = {text};
}

}  // namespace swnat::nfq
