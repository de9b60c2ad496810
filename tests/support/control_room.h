// A control server with its event loop, which tests turn by hand.
#pragma once

#include <doctest/doctest.h>
#include <sys/eventfd.h>

#include <optional>
#include <string>
#include <utility>

#include "nfq/control_server.h"
#include "tests/support/control_client.h"
#include "tests/support/temporary_folder.h"

namespace swnat::test {

class ControlRoom {
 public:
  static constexpr int many_lines = 20'000;

  // Answers "lines" with many lines in pieces, "stream" with what a test says, and everything else
  // with itself.
  ControlRoom() {
    sd_event* loop = nullptr;
    REQUIRE_GE(sd_event_new(&loop), 0);
    loop_.reset(loop);
    server_.emplace(loop, path, [this](std::string_view request, const nfq::Peer& peer) {
      last_peer = peer;
      return answer(request);
    });
  }

  void turn() { REQUIRE_GE(sd_event_run(loop_.get(), 0), 0); }
  // Whether something happened within that time.
  bool wait(std::uint64_t microseconds) { return sd_event_run(loop_.get(), microseconds) > 0; }

  // Until the client has its whole answer.
  void serve(ControlClient& client) {
    for (int round = 0; round < 1'000'000; ++round) {
      turn();
      if (client.receive()) return;
    }
    FAIL("the answer does not end");
  }
  // Until nothing more is to be done.
  void settle() {
    while (sd_event_run(loop_.get(), 0) > 0) {
    }
  }

  // To the client of the stream.
  void say(const std::string& text) {
    said_ += text;
    ::eventfd_write(wakeup_.get(), 1);
  }

  nfq::ControlServer& server() { return *server_; }

  TemporaryFolder folder;
  std::string path = folder / "control.sock";
  int pieces_made = 0;
  nfq::Peer last_peer;  // who sent the last request

 private:
  nfq::ControlAnswer stream() {
    return {"ok\n",
            [this](std::string& text) {
              ++pieces_made;
              eventfd_t told = 0;
              ::eventfd_read(wakeup_.get(), &told);
              text += std::exchange(said_, {});
              return true;
            },
            wakeup_.get()};
  }

  nfq::ControlAnswer answer(std::string_view request) {
    if (request == "stream") return stream();
    if (request != "lines") return {"asked " + std::string(request) + "\n"};
    return {"first\n", [this, made = 0](std::string& text) mutable {
              ++pieces_made;
              for (int i = 0; i < 100; ++i) text += "line " + std::to_string(made++) + "\n";
              return made < many_lines;
            }};
  }

  std::string said_;
  nfq::FileDescriptor wakeup_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  nfq::EventLoop loop_;
  std::optional<nfq::ControlServer> server_;
};

}  // namespace swnat::test
