#include "nfq/policy_in_force.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/log.h"
#include "nfq/state_file.h"

namespace swnat::nfq {
namespace {

constexpr Time save_pause{1000};

std::shared_ptr<const Policy> policy_of(const rules::Config& config) {
  return std::make_shared<const Policy>(rules::make_policy(config));
}

std::shared_ptr<const Policy> with_added(const Policy& own, const AddedRules& added) {
  auto policy = std::make_shared<Policy>(own);
  added.add_to(*policy);
  return policy;
}

std::uint64_t microseconds(Time time) {
  return static_cast<std::uint64_t>(std::chrono::microseconds(time).count());
}

EventSource make_timer(sd_event* loop, sd_event_time_handler_t handler, void* self) {
  sd_event_source* source = nullptr;
  const int result =
      sd_event_add_time(loop, &source, CLOCK_BOOTTIME, 0, timer_accuracy, handler, self);
  if (result < 0) throw Error(fmt::format("timer: {}", std::strerror(-result)));
  sd_event_source_set_enabled(source, SD_EVENT_OFF);
  return EventSource(source);
}

}  // namespace

PolicyInForce::PolicyInForce(const rules::Config& config, std::string file)
    : own_(policy_of(config)), file_(std::move(file), boot_epoch()) {
  added_ = file_.read();
  added_.remove_over(now());
  notices_ = added_.fit_to(config);
}

PolicyInForce::~PolicyInForce() {
  if (is_unsaved_) save();
}

std::shared_ptr<const Policy> PolicyInForce::policy() const {
  return with_added(*own_, added_);
}

void PolicyInForce::start(sd_event* loop, Engine& engine) {
  engine_ = &engine;
  ends_ = make_timer(loop, on_end, this);
  save_ = make_timer(loop, on_save, this);
  if (std::string put_aside = file_.keep(); !put_aside.empty()) {
    notices_.insert(notices_.begin(), std::move(put_aside));
  }
  for (const std::string& line : std::exchange(notices_, {})) write_log(line);
  const std::size_t count = added_.forwards().size() + added_.drops().size();
  if (count != 0) log("{} added rule{} taken over", count, count == 1 ? "" : "s");
  wait_for_next_end();
}

std::vector<std::string> PolicyInForce::follow(const rules::Config& config) {
  auto own = policy_of(config);
  AddedRules next = added_;
  std::vector<std::string> gone = next.fit_to(config);
  engine_->set_policy(with_added(*own, next), now());
  own_ = std::move(own);
  take_over(std::move(next));
  return gone;
}

void PolicyInForce::change(AddedRules next) {
  if (!next.add_the_same(added_)) {
    try {
      engine_->set_policy(with_added(*own_, next), now());
    } catch (const std::invalid_argument& fault) {
      throw Error(fault.what());
    }
  }
  take_over(std::move(next));
}

void PolicyInForce::take_over(AddedRules next) {
  if (next == added_) return;
  added_ = std::move(next);
  wait_for_next_end();
  save_soon();
}

// At the end of its second, so that many that end in one cost no more than one.
void PolicyInForce::wait_for_next_end() {
  const auto first = added_.next_end();
  if (!first) {
    sd_event_source_set_enabled(ends_.get(), SD_EVENT_OFF);
    return;
  }
  sd_event_source_set_time(ends_.get(),
                           microseconds(std::chrono::ceil<std::chrono::seconds>(*first)));
  sd_event_source_set_enabled(ends_.get(), SD_EVENT_ONESHOT);
}

int PolicyInForce::on_end(sd_event_source*, std::uint64_t, void* self) {
  static_cast<PolicyInForce*>(self)->end_those_over();
  return 0;
}

void PolicyInForce::end_those_over() {
  try {
    AddedRules left = added_;
    left.remove_over(now());
    change(std::move(left));
  } catch (const std::exception& fault) {
    log("added rules that are over cannot be ended: {}", fault.what());
  }
}

void PolicyInForce::save_soon() {
  is_unsaved_ = true;
  if (now() - saved_ >= save_pause) return save();
  sd_event_source_set_time(save_.get(), microseconds(saved_ + save_pause));
  sd_event_source_set_enabled(save_.get(), SD_EVENT_ONESHOT);
}

int PolicyInForce::on_save(sd_event_source*, std::uint64_t, void* self) {
  static_cast<PolicyInForce*>(self)->save();
  return 0;
}

// What is wrong is told once; the next change tries again.
void PolicyInForce::save() {
  is_unsaved_ = false;
  std::string fault;
  try {
    fault = file_.write(added_);
  } catch (const std::exception& error) {
    fault = error.what();
  }
  saved_ = now();
  if (!fault.empty() && fault != told_fault_) write_log(fault);
  told_fault_ = std::move(fault);
}

}  // namespace swnat::nfq
