// What is in force: what the configuration says, and the rules that were added while the daemon
// runs.
//
// All that the engine decides by is put together here, and nowhere else. The kernel's rules follow
// the configuration alone: an added rule needs nothing of them (AddedRules::fit_to).
//
// Added rules end by a timer, once a second at most however many are over, and are kept in a file
// (added_rules_file.h), which is written at once if it was not written within the last second, and
// else when that is over. For the main thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nfq/added_rules.h"
#include "nfq/added_rules_file.h"
#include "nfq/event_loop.h"
#include "rules/config/config.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class PolicyInForce {
 public:
  // With the added rules that the file keeps, as far as the configuration has a place for them.
  // Throws Error.
  PolicyInForce(const rules::Config& config, std::string file);
  ~PolicyInForce();
  PolicyInForce(const PolicyInForce&) = delete;
  PolicyInForce& operator=(const PolicyInForce&) = delete;

  std::shared_ptr<const Policy> policy() const;
  const AddedRules& added() const { return added_; }

  // From now on changes are the engine's, which must outlive this and have policy(), and added
  // rules end. Logs what became of those that were kept. Throws Error.
  void start(sd_event* loop, Engine& engine);

  // Takes over another configuration. Returns a line for each added rule that it has no place for,
  // which is gone. Throws as Engine::set_policy() does, and then changes nothing.
  std::vector<std::string> follow(const rules::Config& config);

  // Takes over other added rules, which the configuration must have a place for. Throws Error, and
  // then changes nothing.
  void change(AddedRules next);

 private:
  static int on_end(sd_event_source* source, std::uint64_t time, void* self);
  static int on_save(sd_event_source* source, std::uint64_t time, void* self);
  void end_those_over();
  void take_over(AddedRules next);
  void save_soon();
  void save();
  void wait_for_next_end();

  std::shared_ptr<const Policy> own_;  // the configuration's alone
  AddedRules added_;
  AddedRulesFile file_;
  std::vector<std::string> notices_;  // of what was kept, for the log
  Engine* engine_ = nullptr;
  EventSource ends_;
  EventSource save_;
  bool is_unsaved_ = false;
  Time saved_{0};
  std::string told_fault_;
};

}  // namespace swnat::nfq
