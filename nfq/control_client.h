// One connection to the control socket: a request line in, an answer out, then it is closed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "nfq/event_loop.h"
#include "nfq/file_descriptor.h"
#include "nfq/peer.h"

namespace swnat::nfq {

// Lines. What does not fit in memory well comes piece by piece: `more` appends the next lines and
// returns whether there may be others; it may have none yet. It is called only when the client has
// taken what was before.
struct ControlAnswer {
  std::string text;
  std::function<bool(std::string& text)> more = {};
  // Of a stream: an eventfd that stays open as long as `more` is there. When `more` had none, it is
  // called again once this is readable. Until then the client gets an empty line now and then, so
  // that it knows a daemon that hangs; and it may take what it gets as slowly as it likes.
  int wakeup = -1;
  std::shared_ptr<const void> held = {};  // until the client goes
};

using ControlAsk = std::function<ControlAnswer(std::string_view request, const Peer& peer)>;

class ControlClient {
 public:
  static constexpr std::size_t max_request = 4096;
  // Clients that neither send nor take anything for that long are closed.
  static constexpr std::uint64_t max_idle_microseconds = 10'000'000;
  // Between the empty lines of a stream: half of the shortest time that swnatctl waits.
  static constexpr std::uint64_t quiet_microseconds = 500'000;

  // `ask` outlives the client. `finished` is called once, last of all, and may destroy the client.
  ControlClient(sd_event* loop, FileDescriptor socket, Peer peer, const ControlAsk& ask,
                std::function<void(ControlClient*)> finished);

  const Peer& peer() const { return peer_; }
  // Whether it has not yet sent a request, nor anything that waits to be looked at.
  bool is_silent() const;
  // A line that the socket has room for if nothing was answered yet.
  void tell(std::string_view line) const;

 private:
  static int on_ready(sd_event_source* source, int fd, std::uint32_t events, void* self);
  static int on_idle(sd_event_source* source, std::uint64_t time, void* self);
  static int on_wakeup(sd_event_source* source, int fd, std::uint32_t events, void* self);

  // False when the connection is over.
  bool read();
  bool write();
  void answer(std::string_view request);
  bool make_more();
  bool wait();
  bool go_on();
  void put_off_idling();
  void finish();

  FileDescriptor socket_;
  Peer peer_;
  const ControlAsk& ask_;
  std::function<void(ControlClient*)> finished_;
  std::string request_;
  ControlAnswer answer_;
  std::size_t written_ = 0;  // of answer_.text
  bool is_answering_ = false;
  bool is_waiting_ = false;  // as a stream, for something to write
  EventSource wakeup_;       // of a stream
  EventSource readiness_;
  EventSource idle_timer_;
};

}  // namespace swnat::nfq
