// A question to the daemon, and its answer line by line (the protocol: nfq/control_server.h).
#pragma once

#include <optional>
#include <stdexcept>
#include <string>

namespace swnat::ctl {

// One clear line for people.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Connection {
 public:
  // Connects and asks. Throws Error.
  Connection(const std::string& socket, const std::string& command);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Nothing at the end of the answer. Throws Error if the daemon went away in the middle of a line.
  std::optional<std::string> next_line();

 private:
  void send(const std::string& request) const;

  std::string socket_;
  int fd_ = -1;
  std::string received_;
  std::size_t start_ = 0;  // of what next_line() has not returned yet
};

}  // namespace swnat::ctl
