// The network interfaces that are here now, and their addresses.
#pragma once

#include <libmnl/libmnl.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace swnat::rules {

struct Interfaces {
  std::map<std::string, bool> is_up;  // by name
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
// All addresses of all interfaces, as to_text() has them. Throws KernelError.
std::set<std::string> current_addresses();
// Whether there is one of this name; not of another that it may be called by besides.
bool has_interface(const std::string& name);

// The kernel's messages about all interfaces. Throws KernelError.
std::vector<std::uint8_t> list_links();
// The name that such a message is about; empty if it is another kind of message.
std::string link_name(const nlmsghdr& message);

}  // namespace swnat::rules
