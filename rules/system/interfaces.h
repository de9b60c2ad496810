// The network interfaces that are here now, and their addresses.
#pragma once

#include <libmnl/libmnl.h>

#include <functional>
#include <map>
#include <set>
#include <string>

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

// One interface, as the kernel lists it.
struct Link {
  std::string name;
  unsigned number = 0;
  bool is_up = false;
  const nlattr* sysctls = nullptr;  // IFLA_AF_SPEC; null if there is none
};
// Lists all, one after the other; `start` is called before the first, again where they changed
// meanwhile. Throws KernelError.
void list_links(const std::function<void()>& start, const std::function<void(const Link&)>& take);

}  // namespace swnat::rules
