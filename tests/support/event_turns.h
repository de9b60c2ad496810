// An event loop that tests turn by hand.
#pragma once

#include <doctest/doctest.h>

#include "nfq/event_loop.h"

namespace swnat::test {

class EventTurns {
 public:
  EventTurns() {
    sd_event* loop = nullptr;
    REQUIRE_GE(sd_event_new(&loop), 0);
    loop_.reset(loop);
  }

  sd_event* get() const { return loop_.get(); }
  void turn() { REQUIRE_GE(sd_event_run(loop_.get(), 0), 0); }

  // Less than the seconds after which a server gives up on who says nothing.
  template <class Done>
  void turn_until(Done&& done) {
    for (int round = 0; round < 1'000'000; ++round) {
      if (done()) return;
      turn();
    }
    FAIL("it does not come about");
  }

 private:
  nfq::EventLoop loop_;
};

}  // namespace swnat::test
