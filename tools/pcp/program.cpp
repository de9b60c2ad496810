#include "tools/pcp/program.h"

#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tools/pcp/clock.h"
#include "tools/pcp/log.h"

namespace swnat::pcp {
namespace {

constexpr std::uint64_t tick_pause = 1'000'000;  // in microseconds
constexpr std::array end_signals{SIGTERM, SIGINT};

Loop make_loop() {
  sd_event* loop = nullptr;
  const int result = sd_event_new(&loop);
  if (result < 0) throw Error(fmt::format("event loop: {}", std::strerror(-result)));
  return Loop(loop);
}

// Each link has two sockets.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::string book_path(const rules::Config& config) {
  return std::filesystem::path(config.control_socket).replace_filename("pcp");
}

void require(int result, const char* what) {
  if (result < 0) throw Error(fmt::format("{}: {}", what, std::strerror(-result)));
}

}  // namespace

Program::Program(const rules::Config& config)
    : file_(config.file),
      control_socket_(config.control_socket),
      boot_(boot_id()),
      loop_(make_loop()),
      saved_(book_path(config)) {
  allow_many_files();
  watch_signals();
  control_ = std::make_unique<DaemonControl>(loop_.get(), control_socket_);
  book_ = std::make_unique<Book>(*control_, saved_.read(boot_), now());
  book_->set_config(config);
  links_ = std::make_unique<Links>(
      loop_.get(), [this](const std::string& tenant, const Origin& origin, View message) {
        server_->receive(tenant, origin, message, now());
      });
  server_ = std::make_unique<Server>(*book_, *links_);
  announcer_ = std::make_unique<Announcer>(loop_.get(), *links_, *server_);
  links_->follow(config);
  if (!config.pcp.enabled)
    log(Priority::warning, "{}: pcp.enabled is false, so nobody is served", file_);
  start_ticking();
}

Program::~Program() = default;

void Program::watch_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGHUP);
  for (const int each : end_signals) sigaddset(&signals, each);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  for (const int each : end_signals) {
    require(sd_event_add_signal(loop_.get(), nullptr, each, on_stop, this), "signals");
  }
  require(sd_event_add_signal(loop_.get(), nullptr, SIGHUP, on_reload, this), "signals");
}

void Program::start_ticking() {
  sd_event_source* source = nullptr;
  require(sd_event_add_time_relative(loop_.get(), &source, CLOCK_MONOTONIC, 0, 0, on_tick, this),
          "timer");
  ticks_.reset(source);
}

int Program::run() {
  log(Priority::info, "ready");
  sd_notify(0, "READY=1");
  const int status = sd_event_loop(loop_.get());
  sd_notify(0, "STOPPING=1");
  save();
  return status < 0 ? 1 : status;
}

int Program::on_stop(sd_event_source* source, const signalfd_siginfo*, void*) {
  return sd_event_exit(sd_event_source_get_event(source), 0);
}

int Program::on_reload(sd_event_source*, const signalfd_siginfo*, void* self) {
  static_cast<Program*>(self)->reload();
  return 0;
}

int Program::on_tick(sd_event_source* source, std::uint64_t, void* self) {
  static_cast<Program*>(self)->tick();
  sd_event_source_set_time_relative(source, tick_pause);
  return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

void Program::tick() {
  book_->tick(now());
  save();
  // Not before all that is known is known.
  if (book_->is_synchronised() && std::exchange(announced_, book_->losses()) != book_->losses()) {
    announcer_->begin();
  }
}

void Program::save() {
  if (book_->take_changed()) saved_.write(book_->saved(), boot_);
}

void Program::reload() {
  sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
             static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count()));
  const rules::LoadResult result = rules::load_config(file_);
  for (const rules::ConfigError& error : result.errors) write_log(Priority::error, error.text());
  if (!result.config) {
    log(Priority::error, "not reloaded: the configuration from before stays in effect");
  } else if (result.config->control_socket != control_socket_) {
    log(Priority::error, "{}: control.socket cannot change while this runs; restart to change it",
        file_);
  } else {
    book_->set_config(*result.config);
    links_->follow(*result.config);
    log(Priority::info, "reloaded {}", file_);
  }
  sd_notify(0, "READY=1");
}

}  // namespace swnat::pcp
