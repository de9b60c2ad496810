// Questions to the daemon, and its answers: what it says first, and then what it lists, one by one.
#pragma once

#include <chrono>
#include <string>

#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_json.h"

namespace swnat::ctl {

// The daemon is there, and says why not.
class Refusal : public Error {
 public:
  using Error::Error;
};

std::string text_of_request(const Json& request);

// The first line of an answer, without "ok". Throws Refusal and Error, and Json::exception for what
// is no answer of the daemon's.
Json take_first_line(Connection& connection, const std::string& socket);

class Answer {
 public:
  // Throws as take_first_line() does.
  Answer(const std::string& socket, const Json& request, std::chrono::seconds patience);

  // What it says first; without "ok".
  const Json& document() const { return document_; }

  // The next thing that it lists, as it came. False at the end; throws as the constructor does if
  // the end is missing.
  bool next();
  const Json& item() const { return item_; }
  const std::string& line() const { return line_; }
  // What it says at the end; without "end".
  const Json& end() const { return end_; }

 private:
  std::string socket_;
  Connection connection_;
  Json document_;
  Json item_;
  Json end_ = Json::object();
  std::string line_;
};

}  // namespace swnat::ctl
