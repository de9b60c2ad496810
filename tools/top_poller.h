// Asks the daemon for `swnatctl top` in a thread of its own, so that keys have an effect while it
// does not answer.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "tools/top_reading.h"

namespace swnat::ctl {

// What came of one question.
struct TopAnswer {
  std::optional<TopReading> reading = {};
  std::string fault = {};  // else
};

// All but take() and the end: the thread that made it.
class TopPoller {
 public:
  // Throws Error and std::system_error.
  TopPoller(std::string socket, std::chrono::seconds patience);
  // Does not wait for an answer.
  ~TopPoller();
  TopPoller(const TopPoller&) = delete;
  TopPoller& operator=(const TopPoller&) = delete;

  // Without effect while a question is under way; then false.
  bool ask(TopBy by, std::chrono::seconds lately);
  // What has come since, if anything.
  std::optional<TopAnswer> take();
  // Readable when something has.
  int fd() const { return wakeup_; }

 private:
  struct Question {
    TopBy by;
    std::chrono::seconds lately;
  };

  void run();
  std::optional<Question> wait_for_question();
  TopReading read(const Question& question);
  void set_connection(const Connection* connection);

  const std::string socket_;
  const std::chrono::seconds patience_;
  int wakeup_ = -1;
  std::mutex mutex_;  // for all that follows
  std::condition_variable asked_;
  bool is_stopping_ = false;
  bool is_busy_ = false;
  std::optional<Question> question_;
  std::optional<TopAnswer> answer_;
  const Connection* connection_ = nullptr;
  std::thread thread_;
};

}  // namespace swnat::ctl
