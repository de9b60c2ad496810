// A question to the daemon, and its answer line by line (the protocol: nfq/control_server.h).
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>

namespace swnat::ctl {

// Where the daemon listens unless its file says otherwise.
inline constexpr const char* usual_socket = "/run/swnat/control.sock";

// One clear line for people.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What was asked for makes no sense, whoever answers.
class UsageError : public Error {
 public:
  using Error::Error;
};

class Connection {
 public:
  // Connects and sends the request, a line of JSON without its end. A daemon that takes or says
  // nothing for `patience` is given up; an answer that keeps coming may be as long as it likes.
  // Throws Error.
  Connection(const std::string& socket, const std::string& request, std::chrono::seconds patience);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Nothing at the end of the answer. Throws Error if the daemon went away in the middle of a line.
  std::optional<std::string> next_line();
  // Any thread: who waits for the daemon waits no longer, and there are no more lines.
  void interrupt() const;

 private:
  void connect() const;
  void send(const std::string& request) const;
  [[noreturn]] void give_up() const;

  std::string socket_;
  std::chrono::seconds patience_;
  int fd_ = -1;
  std::string received_;
  std::size_t start_ = 0;  // of what next_line() has not returned yet
};

}  // namespace swnat::ctl
