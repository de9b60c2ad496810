#include "tools/top_poller.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "tools/swnatctl_answer.h"

namespace swnat::ctl {

TopPoller::TopPoller(std::string socket, std::chrono::seconds patience)
    : socket_(std::move(socket)),
      patience_(patience),
      wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wakeup_ < 0) throw Error(fmt::format("eventfd: {}", std::strerror(errno)));
  thread_ = std::thread([this] { run(); });
}

TopPoller::~TopPoller() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    if (connection_ != nullptr) connection_->interrupt();
  }
  asked_.notify_all();
  thread_.join();
  ::close(wakeup_);
}

bool TopPoller::ask(TopBy by, std::chrono::seconds lately) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(is_busy_, true)) return false;
  question_ = {by, lately};
  asked_.notify_all();
  return true;
}

std::optional<TopAnswer> TopPoller::take() {
  eventfd_t told = 0;
  ::eventfd_read(wakeup_, &told);
  const std::lock_guard lock(mutex_);
  return std::exchange(answer_, std::nullopt);
}

void TopPoller::run() {
  while (const auto question = wait_for_question()) {
    TopAnswer answer;
    try {
      answer.reading = read(*question);
    } catch (const Refusal& refusal) {
      answer.fault = fmt::format("the daemon refuses; trying again: {}", refusal.what());
    } catch (const Json::exception&) {
      answer.fault = fmt::format("trying again: {}: the answer is not swnat-nfq's", socket_);
    } catch (const std::exception& error) {
      answer.fault = fmt::format("the daemon does not answer; trying again: {}", error.what());
    }
    const std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    is_busy_ = false;
    ::eventfd_write(wakeup_, 1);
  }
}

std::optional<TopPoller::Question> TopPoller::wait_for_question() {
  std::unique_lock lock(mutex_);
  asked_.wait(lock, [this] { return is_stopping_ || question_; });
  if (is_stopping_) return std::nullopt;
  return std::exchange(question_, std::nullopt);
}

TopReading TopPoller::read(const Question& question) {
  Connection connection(socket_, text_of_request(top_request(question.by, question.lately)),
                        patience_);
  // Interrupted from now on, and not once it is gone.
  struct Shown {
    explicit Shown(TopPoller& poller, const Connection& connection) : poller_(poller) {
      poller_.set_connection(&connection);
    }
    ~Shown() { poller_.set_connection(nullptr); }
    TopPoller& poller_;
  };
  const Shown shown(*this, connection);
  return take_top_reading(connection, socket_, question.by);
}

void TopPoller::set_connection(const Connection* connection) {
  const std::lock_guard lock(mutex_);
  connection_ = connection;
  if (is_stopping_ && connection != nullptr) connection->interrupt();
}

}  // namespace swnat::ctl
