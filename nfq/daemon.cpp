#include "nfq/daemon.h"

#include <fmt/ranges.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "nfq/access.h"
#include "nfq/clock.h"
#include "nfq/control_commands.h"
#include "nfq/error.h"
#include "nfq/log.h"
#include "nfq/memory_limits.h"
#include "nfq/own_process.h"
#include "nfq/rule_counters.h"
#include "rules/kernel/kernel.h"

namespace swnat::nfq {
namespace {

// A worker that was not seen for that long is stuck: its longest pause is far shorter.
constexpr Time longest_silence{2000};
static_assert(longest_silence >= 4 * Worker::longest_pause);

constexpr std::uint64_t socket_look_pause = 1'000'000;  // in microseconds

constexpr std::array stop_signals{SIGTERM, SIGINT};

EventLoop make_loop() {
  sd_event* loop = nullptr;
  const int error = sd_event_new(&loop);
  if (error < 0) throw Error(fmt::format("event loop: {}", std::strerror(-error)));
  return EventLoop(loop);
}

// Either format tells two configurations apart.
std::string rules_text(const rules::Config& config) {
  return rules::render(config, rules::Format::iptables);
}

void require(int result, const char* what) {
  if (result < 0) throw Error(fmt::format("{}: {}", what, std::strerror(-result)));
}

}  // namespace

Daemon::Daemon(rules::Config config)
    : config_(std::make_shared<const rules::Config>(std::move(config))),
      started_(now()),
      loop_(make_loop()),
      worker_failure_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      own_sockets_(config_->external_addresses, config_->policy.ports) {
  require_net_admin();
  rules::require_external_interface(*config_);
  watch_signals();
  watch_workers();
  make_engine();
  withhold_own_ports();
  control_ = std::make_unique<ControlServer>(loop_.get(), config_->control_socket,
                                             [this](std::string_view request, const Peer& peer) {
                                               return answer_control_request(*this, request, peer);
                                             });
  control_->give_to(socket_group(*config_));
  metrics_outlets_ =
      std::make_unique<MetricsOutlets>(loop_.get(), *config_, [this] { return metrics(); });
  bind_queues();
  keeper_ = std::make_unique<RuleKeeper>(config_, [this] { return stray_packets(); });
  // The last: a start that fails, as beside another daemon, must not write to that one's log.
  log_->follow(config_, engine_->session_count());
}

Daemon::~Daemon() {
  stop_workers();
}

// Sessions of an earlier daemon go on. State that is of no use must not keep the NAT from working.
void Daemon::make_engine() {
  EngineOptions options{.shards = config_->workers,
                        .max_sessions = config_->max_sessions,
                        .secret = random_words(),
                        .pairing_key = random_words(),
                        .populate = config_->populate_memory,
                        .time_epoch = boot_epoch(),
                        .now = now()};
  try {
    if (!config_->state_file.empty()) {
      state_ = std::make_unique<StateFile>(config_->state_file);
    }
    // Read under the state file's lock: no other daemon has it.
    policy_ = std::make_unique<PolicyInForce>(*config_,
                                              state_ ? state_->path() + ".rules" : std::string());
    const auto policy = policy_->policy();
    if (state_) {
      // The tenants' external addresses stay even where their sessions cannot.
      options.pairing_key = Engine::pairing_key(state_->bytes()).value_or(options.pairing_key);
      const auto fault = Engine::session_memory_fault(options, *policy, state_->bytes());
      if (fault) state_->put_aside(*fault);
    }
    require_memory(options, *policy);
    if (state_) {
      state_->resize(Engine::session_memory_size(options, *policy));
      options.session_memory = state_->bytes();
    }
    engine_ = std::make_unique<Engine>(options, policy);
    events_ = std::make_unique<EventFeed>(*engine_);
    log_ = std::make_unique<LogSwitch>(*events_);
  } catch (const std::invalid_argument& error) {
    throw Error(fmt::format("{}: {}", config_->file, error.what()));
  }
  const std::uint64_t sessions = engine_->session_count();
  if (sessions != 0) {
    log("{} session{} taken over from {}", sessions, sessions == 1 ? "" : "s", state_->path());
  }
}

// Better no start than an end under load. What the state's file system is no memory for is left
// out.
void Daemon::require_memory(const EngineOptions& options, const Policy& policy) {
  const std::size_t sessions = Engine::session_memory_size(options, policy);
  const std::size_t log = LogSwitch::memory_used(*config_);
  const std::size_t others = Engine::memory_size(options, policy) + log;
  const std::size_t workers = config_->workers;
  const std::size_t wanted = state_ ? state_->memory_wanted(sessions) : sessions;
  EngineOptions all = options;
  all.populate = true;
  const MemoryNeed need{.used = wanted + others + workers * Worker::memory_used,
                        .reserved = sessions + Engine::memory_size(all, policy) + log +
                                    workers * Worker::memory_reserved,
                        .purpose = fmt::format("nat.max_sessions = {}", config_->max_sessions)};
  const std::string fault = memory_fault(need, memory_limits(), reservation_limits());
  if (!fault.empty()) throw Error(fmt::format("{}: {}", config_->file, fault));
  memory_notice_ =
      fmt::format("{} {} {} of memory", need.purpose,
                  config_->populate_memory ? "takes" : "may need", size_text(need.used));
  if (state_ && wanted != 0) {
    memory_notice_ += fmt::format(", {} of it in {}", size_text(wanted), state_->path());
  }
}

void Daemon::watch_signals() {
  // Blocked before any thread exists, so that they only ever arrive in the event loop, which from
  // now on nothing may hold up.
  log_without_waiting();
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  for (const int signal : stop_signals) {
    require(sd_event_add_signal(loop_.get(), nullptr, signal, on_stop_signal, this), "signals");
  }
  require(sd_event_add_signal(loop_.get(), nullptr, SIGHUP, on_reload_signal, this), "signals");
  require(sd_event_add_signal(loop_.get(), nullptr, SIGUSR1, on_report_signal, this), "signals");
}

void Daemon::watch_workers() {
  if (!worker_failure_) throw Error(fmt::format("eventfd: {}", std::strerror(errno)));
  require(sd_event_add_io(loop_.get(), nullptr, worker_failure_.get(), EPOLLIN, on_worker_failure,
                          this),
          "workers");
}

void Daemon::bind_queues() {
  const std::vector<int> cpus = allowed_cpus();
  for (std::uint32_t i = 0; i < config_->workers; ++i) {
    WorkerOptions options{.queue = {static_cast<std::uint16_t>(config_->first_queue + i),
                                    config_->max_packets, config_->fail_open},
                          .shard = i,
                          .fwmark_mask = config_->fwmark_mask,
                          .cpu = cpus.empty() ? -1 : cpus[i % cpus.size()],
                          .wakeup = worker_failure_.get()};
    workers_.push_back(std::make_unique<Worker>(*engine_, options));
  }
  if (const std::string& fault = workers_.front()->answer_fault(); !fault.empty()) {
    log("no raw socket ({}), so tenants that get no session are not told by ICMP", fault);
  }
}

// No tenant gets a port that a socket of the gateway has. Where the kernel does not tell them, the
// NAT works as well as it can.
void Daemon::withhold_own_ports() {
  const std::string fault = own_sockets_.update(*engine_);
  if (!fault.empty() && knows_sockets_) {
    log("the gateway's own sockets cannot be read ({}): tenants may get their ports", fault);
  }
  knows_sockets_ = fault.empty();
}

void Daemon::keep_looking_at_sockets() {
  sd_event_source* source = nullptr;
  require(sd_event_add_time_relative(loop_.get(), &source, CLOCK_MONOTONIC, socket_look_pause, 0,
                                     on_look_at_sockets, this),
          "timer");
  socket_look_.reset(source);
}

void Daemon::start_watchdog() {
  std::uint64_t period = 0;
  if (sd_watchdog_enabled(0, &period) <= 0) return;
  // Often enough that a period passes only when workers were silent for several checks.
  watchdog_pause_ = std::max<std::uint64_t>(period / 4, 1000);
  sd_event_source* source = nullptr;
  require(
      sd_event_add_time_relative(loop_.get(), &source, CLOCK_MONOTONIC, 0, 0, on_watchdog, this),
      "watchdog");
  watchdog_.reset(source);
}

int Daemon::run() {
  for (const auto& worker : workers_) worker->start();
  start_watchdog();
  keep_looking_at_sockets();
  if (state_) {
    const std::string put_aside = state_->keep();
    if (!put_aside.empty()) write_log(put_aside);
  }
  policy_->start(loop_.get(), *engine_);
  log("{}", memory_notice_);
  keeper_->start();
  metrics_outlets_->write_file(*config_);
  log("ready");
  sd_notify(0, "READY=1");
  const int status = sd_event_loop(loop_.get());
  sd_notify(0, "STOPPING=1");
  keeper_->request_stop();
  // Taken before the queues are given up, when the kernel forgets its counters.
  const std::vector<QueueReport> last = queues();
  stop_workers();
  std::vector<QueueReport> reports = queues();
  for (std::size_t i = 0; i < reports.size(); ++i) reports[i].kernel = last[i].kernel;
  write_log(counters_text(engine_->counters(), rule_counters(), reports));
  return status < 0 ? 1 : status;
}

void Daemon::stop_workers() {
  for (const auto& worker : workers_) worker->request_stop();
  for (const auto& worker : workers_) worker->join();
}

int Daemon::on_stop_signal(sd_event_source* source, const signalfd_siginfo*, void*) {
  return sd_event_exit(sd_event_source_get_event(source), 0);
}

int Daemon::on_reload_signal(sd_event_source*, const signalfd_siginfo*, void* self) {
  static_cast<Daemon*>(self)->reload();
  return 0;
}

int Daemon::on_report_signal(sd_event_source*, const signalfd_siginfo*, void* self) {
  const auto& daemon = *static_cast<const Daemon*>(self);
  write_log(counters_text(daemon.engine_->counters(), rule_counters(), daemon.queues()));
  return 0;
}

int Daemon::on_worker_failure(sd_event_source* source, int, std::uint32_t, void* self) {
  for (const auto& worker : static_cast<const Daemon*>(self)->workers_) {
    if (const auto failure = worker->failure()) write_log(*failure);
  }
  return sd_event_exit(sd_event_source_get_event(source), 1);
}

int Daemon::on_watchdog(sd_event_source* source, std::uint64_t, void* self) {
  const auto& daemon = *static_cast<const Daemon*>(self);
  if (daemon.workers_make_progress()) sd_notify(0, "WATCHDOG=1");
  sd_event_source_set_time_relative(source, daemon.watchdog_pause_);
  return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int Daemon::on_look_at_sockets(sd_event_source* source, std::uint64_t, void* self) {
  static_cast<Daemon*>(self)->withhold_own_ports();
  sd_event_source_set_time_relative(source, socket_look_pause);
  return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

bool Daemon::workers_make_progress() const {
  const Time time = now();
  return std::ranges::all_of(
      workers_, [&](const auto& worker) { return time - worker->last_beat() < longest_silence; });
}

ReloadOutcome Daemon::reload() {
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
             static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count()));
  ReloadOutcome outcome;
  log_->reopen();  // whatever is wrong with the configuration: the signal may be a log rotation's
  try {
    outcome = try_reload();
  } catch (const std::exception& error) {
    outcome.faults = {fmt::format("{}: {}", config_->file, error.what())};
  }
  for (const std::string& fault : outcome.faults) write_log(fault);
  if (outcome.faults.empty()) {
    log("reloaded {}; {}", config_->file,
        outcome.changes.empty() ? "nothing changed"
                                : fmt::format("{}", fmt::join(outcome.changes, "; ")));
  } else {
    log("not reloaded: the configuration from before stays in effect");
  }
  if (outcome.wants_up) {
    log("the kernel's rules for this file differ; apply them: swnat-nfq up --config {}",
        config_->file);
  }
  sd_notify(0, "READY=1");
  return outcome;
}

ReloadOutcome Daemon::try_reload() {
  rules::LoadResult result = rules::load_config(config_->file);
  ReloadOutcome outcome;
  for (const rules::ConfigError& error : result.errors) outcome.faults.push_back(error.text());
  if (!result.config) return outcome;
  outcome.faults = fixed_keys_changed(*config_, *result.config);
  if (!outcome.faults.empty()) return outcome;
  auto loaded = std::make_shared<const rules::Config>(std::move(*result.config));
  const auto before = config_;
  const std::vector<std::string> gone = put_in_force(loaded);
  outcome.changes = changes_between(*before, *loaded);
  outcome.changes.insert(outcome.changes.end(), gone.begin(), gone.end());
  outcome.wants_up = rules_text(*before) != rules_text(*loaded);
  return outcome;
}

// All of it or, with an exception, nothing. Returns a line for each added rule that it ends.
std::vector<std::string> Daemon::put_in_force(std::shared_ptr<const rules::Config> config) {
  std::vector<std::string> gone;
  // First what may fail.
  log_->follow(config, engine_->session_count());
  try {
    metrics_outlets_->write_file(*config);
    gone = policy_->follow(*config);
  } catch (...) {
    log_->follow(config_, engine_->session_count());
    metrics_outlets_->write_file(*config_);
    throw;
  }
  config_ = std::move(config);
  keeper_->set_config(config_);
  control_->give_to(socket_group(*config_));
  return gone;
}

StrayPackets Daemon::stray_packets() const {
  StrayPackets strays;
  for (const auto& worker : workers_) {
    strays.wrong_hook +=
        worker->counters().read()[static_cast<std::size_t>(QueueCounter::wrong_hook)];
  }
  strays.unknown_namespace =
      engine_->counters()[static_cast<std::size_t>(Reason::unknown_namespace)];
  return strays;
}

std::vector<QueueReport> Daemon::queues() const {
  const auto kernel = kernel_queues();
  std::vector<QueueReport> reports;
  for (const auto& worker : workers_) {
    QueueReport report;
    report.number = worker->queue();
    report.counts = worker->counters().read();
    report.silence = now() - worker->last_beat();
    if (kernel) {
      const auto row = std::ranges::find(*kernel, report.number, &KernelQueue::number);
      if (row != kernel->end()) report.kernel = *row;
    }
    reports.push_back(report);
  }
  return reports;
}

Metrics Daemon::metrics() const {
  return {*engine_,
          {config_, uptime(), rules(), rule_counters(), queues(), &mapping_log().counters()}};
}

Time Daemon::uptime() const {
  return now() - started_;
}

}  // namespace swnat::nfq
