// Answers swnatctl on the control socket, beside the daemon's other events and never in their way.
//
// The protocol: a client connects, sends one line of JSON, {"command":"sessions"}, and receives
// lines of JSON: first {"ok":true,…} or {"ok":false,"error":"…"}, then, for commands that list
// things, one line for each and {"end":true}. Then the server closes the connection. A list without
// that last line was cut: its client was too slow, or the daemon ended.
//
// Places: each user has a few of those that all users but root have together, and root may have
// any. Where there is no place for a newcomer, the client that is silent for longest goes, of those
// whose place it could have. So only clients that are being answered keep others out, and those of
// one user neither another user nor root.
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
  static constexpr std::size_t max_clients = 32;
  static constexpr std::size_t max_of_users = 24;  // all but root's
  static constexpr std::size_t max_of_user = 8;
  // Where no file can be opened, a client that waits is looked at again after that long.
  static constexpr std::uint64_t pause_microseconds = 200'000;

  // Throws Error.
  ControlServer(sd_event* loop, const std::string& path, ControlAsk ask);

  // Lets members of this group ask. Where that is not possible it is logged.
  void give_to(gid_t group) const;

 private:
  static int on_connection(sd_event_source* source, int fd, std::uint32_t events, void* self);
  static int on_pause_over(sd_event_source* source, std::uint64_t time, void* self);
  void accept();
  bool make_room(const Peer& newcomer);
  // Whether there are fewer than `most` clients of this kind, now that the longest silent one has
  // gone if there were as many.
  bool make_room_among(bool (*is_one)(const Peer& client, const Peer& newcomer),
                       const Peer& newcomer, std::size_t most);
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
