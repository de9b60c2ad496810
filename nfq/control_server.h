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

  // Throws Error.
  ControlServer(sd_event* loop, const std::string& path, ControlAsk ask);

 private:
  static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* self);
  void accept();

  sd_event* loop_;
  ControlSocket socket_;
  ControlAsk ask_;
  EventSource connections_;
  std::vector<std::unique_ptr<ControlClient>> clients_;
};

}  // namespace swnat::nfq
