// The daemon: the engine, its workers and the control socket, under one event loop.
//
// Everything that can fail at the start is done in the constructor, all queues bound before any
// worker runs, and undone if a later step fails. Afterwards the main thread only waits: for
// signals, for clients of the control socket, for workers that give up, and for systemd's watchdog.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "nfq/control_server.h"
#include "nfq/event_feed.h"
#include "nfq/event_loop.h"
#include "nfq/file_descriptor.h"
#include "nfq/log_switch.h"
#include "nfq/metrics.h"
#include "nfq/metrics_outlets.h"
#include "nfq/own_sockets.h"
#include "nfq/policy_in_force.h"
#include "nfq/reload.h"
#include "nfq/report.h"
#include "nfq/rule_keeper.h"
#include "nfq/state_file.h"
#include "nfq/watch_places.h"
#include "nfq/worker.h"
#include "rules/config/config.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class Daemon {
 public:
  // Throws Error, rules::KernelError, std::bad_alloc.
  explicit Daemon(rules::Config config);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // Returns the exit status when a signal or a worker's failure has ended it.
  int run();

  // Takes over the changed configuration file, all of it or nothing, and logs what happened.
  ReloadOutcome reload();

  std::shared_ptr<const rules::Config> config() const { return config_; }
  const Engine& engine() const { return *engine_; }
  Engine& engine() { return *engine_; }
  PolicyInForce& policy_in_force() { return *policy_; }
  const PolicyInForce& policy_in_force() const { return *policy_; }
  const OwnSockets& own_sockets() const { return own_sockets_; }
  EventFeed& events() { return *events_; }
  const LogSwitch& mapping_log() const { return *log_; }
  WatchPlaces& watch_places() { return watch_places_; }
  std::vector<QueueReport> queues() const;
  Metrics metrics() const;
  Time uptime() const;
  RuleStatus rules() const { return keeper_->status(); }

 private:
  static int on_stop_signal(sd_event_source*, const signalfd_siginfo*, void* self);
  static int on_reload_signal(sd_event_source*, const signalfd_siginfo*, void* self);
  static int on_report_signal(sd_event_source*, const signalfd_siginfo*, void* self);
  static int on_worker_failure(sd_event_source*, int, std::uint32_t, void* self);
  static int on_watchdog(sd_event_source*, std::uint64_t, void* self);
  static int on_look_at_sockets(sd_event_source*, std::uint64_t, void* self);

  void make_engine();
  void require_memory(const EngineOptions& options, const Policy& policy);
  void watch_signals();
  void watch_workers();
  void start_watchdog();
  void withhold_own_ports();
  void keep_looking_at_sockets();
  void bind_queues();
  void stop_workers();
  bool workers_make_progress() const;
  StrayPackets stray_packets() const;
  ReloadOutcome try_reload();
  std::vector<std::string> put_in_force(std::shared_ptr<const rules::Config> config);

  std::shared_ptr<const rules::Config> config_;
  Time started_;
  EventLoop loop_;
  FileDescriptor worker_failure_;
  EventSource watchdog_;
  std::uint64_t watchdog_pause_ = 0;  // in microseconds
  std::unique_ptr<StateFile> state_;  // holds the engine's sessions, if the configuration names one
  std::string memory_notice_;         // what may be needed, for the log
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<PolicyInForce> policy_;  // the engine's
  std::unique_ptr<EventFeed> events_;
  std::unique_ptr<LogSwitch> log_;
  WatchPlaces watch_places_;
  OwnSockets own_sockets_;
  EventSource socket_look_;
  bool knows_sockets_ = true;  // until the kernel does not tell them
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<RuleKeeper> keeper_;  // reads the workers' counters
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<MetricsOutlets> metrics_outlets_;
};

}  // namespace swnat::nfq
