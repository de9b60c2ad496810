#include "nfq/control_client.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

#include "nfq/error.h"

namespace swnat::nfq {
namespace {

bool is_temporary(int error) {
  return error == EAGAIN || error == EINTR;
}

}  // namespace

ControlClient::ControlClient(sd_event* loop, FileDescriptor socket, Peer peer,
                             const ControlAsk& ask, std::function<void(ControlClient*)> finished)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      ask_(ask),
      finished_(std::move(finished)) {
  sd_event_source* source = nullptr;
  int result = sd_event_add_io(loop, &source, socket_.get(), EPOLLIN, on_ready, this);
  if (result < 0) {
    throw Error(fmt::format("control client: cannot be watched: {}", std::strerror(-result)));
  }
  readiness_.reset(source);
  result = sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, max_idle_microseconds, 0,
                                      on_idle, this);
  if (result < 0) {
    throw Error(fmt::format("control client: cannot be timed: {}", std::strerror(-result)));
  }
  idle_timer_.reset(source);
}

bool ControlClient::is_silent() const {
  int unread = 0;
  return !is_answering_ && (::ioctl(socket_.get(), FIONREAD, &unread) != 0 || unread == 0);
}

void ControlClient::tell(std::string_view line) const {
  ::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL);
}

int ControlClient::on_ready(sd_event_source*, int, std::uint32_t, void* self) {
  auto& client = *static_cast<ControlClient*>(self);
  bool goes_on = false;
  try {
    // Who waits is called only because the other end is gone.
    if (!client.is_waiting_) goes_on = client.is_answering_ ? client.write() : client.read();
  } catch (const std::exception&) {
    // Not enough memory for this client; the daemon goes on without it.
  }
  if (!goes_on) client.finish();
  return 0;
}

int ControlClient::on_idle(sd_event_source* source, std::uint64_t, void* self) {
  auto& client = *static_cast<ControlClient*>(self);
  if (!client.wakeup_) {
    client.finish();
    return 0;
  }
  if (client.is_waiting_) {
    client.answer_.text = "\n";
    client.go_on();
  }
  client.put_off_idling();
  return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int ControlClient::on_wakeup(sd_event_source*, int, std::uint32_t, void* self) {
  return static_cast<ControlClient*>(self)->go_on() ? 0 : -EIO;
}

bool ControlClient::read() {
  std::array<char, max_request> bytes;
  const ssize_t size = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
  if (size < 0) return is_temporary(errno);
  request_.append(bytes.data(), static_cast<std::size_t>(size));
  const std::size_t end = request_.find('\n');
  if (end <= max_request) {  // not so if there is none: npos is the largest number
    answer(std::string_view(request_).substr(0, end));
  } else if (request_.size() > max_request) {
    answer_.text = "{\"ok\":false,\"error\":\"the request is longer than 4096 bytes\"}\n";
  } else if (size > 0) {
    return true;
  } else if (!request_.empty()) {
    answer(request_);  // a client that has closed its side instead of ending the line
  } else {
    return false;
  }
  is_answering_ = true;
  return sd_event_source_set_io_events(readiness_.get(), EPOLLOUT) >= 0;
}

void ControlClient::answer(std::string_view request) {
  answer_ = ask_(request, peer_);
  if (answer_.wakeup < 0) return;
  sd_event_source* source = nullptr;
  sd_event* const loop = sd_event_source_get_event(readiness_.get());
  const int result = sd_event_add_io(loop, &source, answer_.wakeup, EPOLLIN, on_wakeup, this);
  if (result < 0) {
    throw Error(fmt::format("control client: cannot be woken: {}", std::strerror(-result)));
  }
  wakeup_.reset(source);
  sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

// Nothing is asked of the socket until there is something for it, or it would be ready for ever.
bool ControlClient::wait() {
  is_waiting_ = true;
  return sd_event_source_set_io_events(readiness_.get(), 0) >= 0 &&
         sd_event_source_set_enabled(wakeup_.get(), SD_EVENT_ONESHOT) >= 0;
}

bool ControlClient::go_on() {
  is_waiting_ = false;
  return sd_event_source_set_io_events(readiness_.get(), EPOLLOUT) >= 0 &&
         sd_event_source_set_enabled(wakeup_.get(), SD_EVENT_OFF) >= 0;
}

void ControlClient::put_off_idling() {
  sd_event_source_set_time_relative(idle_timer_.get(),
                                    wakeup_ ? quiet_microseconds : max_idle_microseconds);
}

// False when the answer is complete.
bool ControlClient::make_more() {
  if (!answer_.more) return false;
  answer_.text.clear();
  written_ = 0;
  if (!answer_.more(answer_.text)) answer_.more = nullptr;
  return true;
}

bool ControlClient::write() {
  if (written_ == answer_.text.size()) {
    if (!make_more()) return false;
    if (answer_.text.empty()) {  // it waits for work of the daemon
      put_off_idling();
      return wakeup_ ? wait() : answer_.more != nullptr;
    }
  }
  const std::string_view rest = std::string_view(answer_.text).substr(written_);
  const ssize_t size = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
  if (size < 0) return is_temporary(errno);
  written_ += static_cast<std::size_t>(size);
  put_off_idling();
  return written_ < answer_.text.size() || answer_.more != nullptr;
}

void ControlClient::finish() {
  // A copy, because the call destroys the client and what it holds.
  const auto finished = finished_;
  finished(this);
}

}  // namespace swnat::nfq
