// The network interfaces that are here now, and their addresses.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "engine/address.h"

namespace swnat::rules {

struct Interfaces {
  std::map<std::string, bool> is_up;  // by name
  std::set<std::string> addresses;    // as to_text() has them
  // By which the kernel knows them.
  std::map<std::string, unsigned, std::less<>> numbers;

  bool has(const std::string& name) const { return is_up.contains(name); }
  bool has_up(const std::string& name) const {
    const auto found = is_up.find(name);
    return found != is_up.end() && found->second;
  }
};

// Throws KernelError.
Interfaces current_interfaces();

}  // namespace swnat::rules
