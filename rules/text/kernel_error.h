// What ends an attempt to tell or to ask the kernel something.
#pragma once

#include <stdexcept>

namespace swnat::rules {

// One clear line for people: what could not be done, and why.
class KernelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace swnat::rules
