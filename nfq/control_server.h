// Answers swnatctl on the control socket, beside the daemon's other events and never in their way.
//
// The protocol: a client connects, sends one line of JSON, {"command":"sessions"}, and receives
// lines of JSON: first {"ok":true,…} or {"ok":false,"error":"…"}, then, for commands that list
// things, one line for each and {"end":true}. Then the server closes the connection. A list without
// that last line was cut: its client was too slow, or the daemon ended.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nfq/control_client.h"
#include "nfq/control_socket.h"
#include "nfq/event_loop.h"

namespace swnat::nfq {

class ControlServer {
 public:
  static constexpr std::size_t max_clients = 16;
  // Where no file can be opened, a client that waits is looked at again after that long.
  static constexpr std::uint64_t pause_microseconds = 200'000;

  // Throws Error.
  ControlServer(sd_event* loop, const std::string& path, ControlAsk ask);

 private:
  static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* self);
  static int on_pause_over(sd_event_source* source, std::uint64_t time, void* self);
  void accept();
  void pause(int error);

  sd_event* loop_;
  ControlSocket socket_;
  ControlAsk ask_;
  EventSource connections_;
  EventSource pause_;
  bool is_short_of_files_ = false;
  std::vector<std::unique_ptr<ControlClient>> clients_;
};

}  // namespace swnat::nfq
