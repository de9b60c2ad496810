// How questions to the daemon and its answers begin.
#pragma once

#include <string>

#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_text.h"

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

}  // namespace swnat::ctl
