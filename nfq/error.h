// What ends a start, or an attempt, with a line for people.
#pragma once

#include <stdexcept>

namespace swnat::nfq {

// One clear line for people: what could not be done, where, and why.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace swnat::nfq
