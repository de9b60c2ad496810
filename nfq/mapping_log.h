// The mapping log: who had which external port when, for those who must be able to say so later.
//
// Theory of operation
//
// The event feed hands events to this listener, which copies them into a queue and returns; a
// thread of its own makes records of them and gives these to the outputs. It is a thread more than
// needed, so that a slow disk or collector holds up nobody else who listens. The queue has a limit;
// what finds it full is lost, counted, and told as a record of the kind `lost`, like what the
// engine had no room for.
//
// Times are made from the clock that events have and the wall clock, as these two stand when a
// record is made: where the wall clock was set, records follow it.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/base/lock.h"
#include "nfq/event_feed.h"
#include "nfq/log_output.h"
#include "rules/config/config.h"

namespace swnat::nfq {

// Which kinds of events the configuration asks for. It must have a log.
EventKinds log_kinds(const rules::Config& config);

// Functions: any thread.
class MappingLog : public EventListener {
 public:
  // Two seconds' at 50,000 new sessions a second, of which each is told twice sooner or later.
  static constexpr std::size_t events_kept = 131'072;
  // Of a queue that fills and one that is written.
  static constexpr std::size_t memory_used = 2 * events_kept * sizeof(Event);

  using Outputs = std::vector<std::unique_ptr<LogOutput>>;

  // The configuration must have a log; `counters` go on with what they are. `sessions` are those
  // that are there already. Throws std::bad_alloc and std::system_error.
  MappingLog(const std::shared_ptr<const rules::Config>& config,
             const std::shared_ptr<LogCounters>& counters, std::uint64_t sessions);
  // With outputs of the caller's.
  MappingLog(std::shared_ptr<const rules::Config> config, std::shared_ptr<LogCounters> counters,
             std::uint64_t sessions, Outputs outputs);
  ~MappingLog() override { finish(); }
  MappingLog(const MappingLog&) = delete;
  MappingLog& operator=(const MappingLog&) = delete;

  // Names and port blocks are these from now on. The log must be the same.
  void set_config(std::shared_ptr<const rules::Config> config);
  // Files are opened anew, and collectors are told from the beginning what records look like. What
  // was told before goes where it would have gone.
  void reopen();
  // Writes what it was given, and takes nothing any more.
  void finish();

  void take(std::span<const Event> events) override;

 private:
  using CountByKind = std::array<std::uint64_t, event_kind_count>;
  struct Work {
    std::vector<Event> events;
    std::size_t told = 0;  // of the events
    CountByKind lost{};
    std::shared_ptr<const rules::Config> config;  // if it changed
    std::size_t before_config = 0;                // of the events
    bool begins = false;
    bool reopens = false;
    bool ends = false;
  };
  // What records need of a namespace.
  struct Tenant {
    std::string name;
    bool has_mappings = false;  // which are recorded, by default
  };

  void run(std::vector<Event> room);
  Work wait_for_work(std::vector<Event> room);
  void handle(LogBatch& batch, Work& work);
  void write_events(LogBatch& batch, Work& work, std::size_t end);
  void write_losses(LogBatch& batch);
  void flush(LogBatch& batch);
  void tell_loss();
  bool is_wanted(const Event& event, const Tenant& owner) const;
  const Tenant& tenant(NamespaceId id);
  void follow(std::shared_ptr<const rules::Config> config);
  void learn(NamespaceId id, Tenant& tenant) const;

  // The writer's alone, but for the counters.
  std::shared_ptr<const rules::Config> config_;
  std::shared_ptr<const rules::Config> former_;  // until the last reload
  std::shared_ptr<LogCounters> counters_;
  std::uint64_t sessions_at_begin_;
  Outputs outputs_;
  std::vector<rules::NamespacePiece> pieces_;  // of config_
  std::unordered_map<NamespaceId, Tenant> tenants_;
  CountByKind lost_{};             // without a record of it so far
  std::uint64_t lost_untold_ = 0;  // in the daemon's own log
  Time next_loss_line_{0};

  Mutex mutex_;
  Work work_ SWNAT_GUARDED_BY(mutex_);
  std::condition_variable_any changed_;
  Mutex end_mutex_;
  std::thread thread_ SWNAT_GUARDED_BY(end_mutex_);
};

}  // namespace swnat::nfq
