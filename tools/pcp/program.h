// The program: links, server, book and daemon under one event loop.
#pragma once

#include <memory>
#include <string>

#include "rules/config/config.h"
#include "tools/pcp/announcer.h"
#include "tools/pcp/book.h"
#include "tools/pcp/daemon_control.h"
#include "tools/pcp/event_loop.h"
#include "tools/pcp/links.h"
#include "tools/pcp/saved_book.h"
#include "tools/pcp/server.h"

namespace swnat::pcp {

class Program {
 public:
  // Throws Error.
  explicit Program(const rules::Config& config);
  ~Program();

  // Until a signal ends it; returns the exit status.
  int run();

 private:
  static int on_stop(sd_event_source*, const signalfd_siginfo*, void*);
  static int on_reload(sd_event_source*, const signalfd_siginfo*, void* self);
  static int on_tick(sd_event_source*, std::uint64_t, void* self);
  void watch_signals();
  void start_ticking();
  void reload();
  void tick();
  void save();

  std::string file_;
  std::string control_socket_;
  std::string boot_;
  Loop loop_;
  SavedBook saved_;
  std::unique_ptr<Book> book_;
  std::unique_ptr<DaemonControl> control_;  // its questions end before what they are for
  std::unique_ptr<Links> links_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<Announcer> announcer_;
  Source ticks_;
  std::uint32_t announced_ = 0;  // losses
};

}  // namespace swnat::pcp
