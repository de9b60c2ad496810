#include "tools/pcp/daemon_control.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

namespace swnat::pcp {

namespace {

// Null for what is no whole answer.
Json answer_of(std::string_view text) {
  Json answer;
  Json lines = Json::array();
  bool is_ended = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    Json line = Json::parse(text.substr(0, end), nullptr, false);
    if (end == std::string_view::npos || !line.is_object()) return nullptr;
    text.remove_prefix(end + 1);
    is_ended = line.contains("end");
    if (answer.is_null()) {
      answer = std::move(line);
    } else if (!is_ended) {
      lines.push_back(std::move(line));
    }
  }
  if (!is_ended) return lines.empty() ? answer : Json(nullptr);
  answer["lines"] = std::move(lines);
  return answer;
}

}  // namespace

class DaemonControl::Question {
 public:
  Question(DaemonControl& control, const Json& request, Done done)
      : control_(control),
        text_(request.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n'),
        done_(std::move(done)) {}

  // Ends by finish(), which is called from the loop and never from here.
  void start() {
    bool is_started = connect();
    sd_event_source* source = nullptr;
    // Where it cannot even be sent, the loop says so at once.
    const std::uint64_t limit = is_started ? patience : 0;
    sd_event_add_time_relative(control_.loop_, &source, CLOCK_MONOTONIC, limit, 0, on_time, this);
    timer_.reset(source);
    if (!is_started) return;
    sd_event_add_io(control_.loop_, &source, file_.get(), EPOLLIN, on_answer, this);
    answers_.reset(source);
  }

  void end(const Json* answer) { done_(answer); }

 private:
  static int on_time(sd_event_source*, std::uint64_t, void* self) {
    auto* question = static_cast<Question*>(self);
    question->control_.finish(question, nullptr);
    return 0;
  }

  static int on_answer(sd_event_source*, int, std::uint32_t, void* self) {
    static_cast<Question*>(self)->read();
    return 0;
  }

  // A request fits into the socket's buffer.
  bool connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (control_.socket_.size() >= sizeof address.sun_path) return false;
    control_.socket_.copy(address.sun_path, sizeof address.sun_path - 1);
    file_ = File(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return file_ &&
           ::connect(file_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0 &&
           ::send(file_.get(), text_.data(), text_.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(text_.size());
  }

  // The daemon closes the connection when all is said.
  void read() {
    std::array<char, 65536> bytes;
    const ssize_t size = ::recv(file_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0) {
      answer_.append(bytes.data(), static_cast<std::size_t>(size));
      if (answer_.size() > longest_answer) control_.finish(this, nullptr);
      return;
    }
    const Json answer = answer_of(answer_);
    control_.finish(this, size == 0 && answer.is_object() ? &answer : nullptr);
  }

  DaemonControl& control_;
  std::string text_;
  Done done_;
  File file_;
  std::string answer_;
  Source answers_;
  Source timer_;
};

DaemonControl::DaemonControl(sd_event* loop, std::string socket)
    : loop_(loop), socket_(std::move(socket)) {}

DaemonControl::~DaemonControl() = default;

bool DaemonControl::ask(const Json& request, Done done) {
  if (waiting_.size() >= most_waiting) return false;
  waiting_.push_back(std::make_unique<Question>(*this, request, std::move(done)));
  start_waiting();
  return true;
}

void DaemonControl::start_waiting() {
  while (!waiting_.empty() && under_way_.size() < most_at_once) {
    under_way_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    under_way_.back()->start();
  }
}

// What it ends may ask the next question.
void DaemonControl::finish(Question* question, const Json* answer) {
  const auto found = std::ranges::find(under_way_, question, &std::unique_ptr<Question>::get);
  const std::unique_ptr<Question> finished = std::move(*found);
  under_way_.erase(found);
  finished->end(answer);
  start_waiting();
}

}  // namespace swnat::pcp
