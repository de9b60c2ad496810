// Control over the daemon's socket: a connection for each question (the protocol:
// nfq/control_server.h), a few at a time, in the order in which they were asked.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "tools/pcp/control.h"
#include "tools/pcp/event_loop.h"

namespace swnat::pcp {

class DaemonControl final : public Control {
 public:
  static constexpr std::size_t most_at_once = 4;
  static constexpr std::size_t most_waiting = 256;
  static constexpr std::uint64_t patience = 3'000'000;     // microseconds for each, once it is sent
  static constexpr std::size_t longest_answer = 64 << 20;  // a list of all forwards

  DaemonControl(sd_event* loop, std::string socket);
  ~DaemonControl() override;

  bool ask(const Json& request, Done done) override;

 private:
  class Question;

  void start_waiting();
  void finish(Question* question, const Json* answer);

  sd_event* loop_;
  std::string socket_;
  std::deque<std::unique_ptr<Question>> waiting_;
  std::vector<std::unique_ptr<Question>> under_way_;
};

}  // namespace swnat::pcp
