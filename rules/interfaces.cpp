#include "rules/interfaces.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "rules/kernel.h"

namespace swnat::rules {
namespace {

std::string text_of(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  } else if (address.sa_family == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, text,
              sizeof text);
  }
  return text;
}

// Those without an address of their link, such as tun, are listed without their number.
unsigned number_of(const ifaddrs& interface) {
  if (interface.ifa_addr == nullptr) return if_nametoindex(interface.ifa_name);
  return static_cast<unsigned>(
      reinterpret_cast<const sockaddr_ll*>(interface.ifa_addr)->sll_ifindex);
}

}  // namespace

Interfaces current_interfaces() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    throw KernelError(fmt::format("interfaces cannot be listed: {}", std::strerror(errno)));
  }
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, freeifaddrs);
  Interfaces found;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    // An address's label may be longer than the name: "wan0:1".
    std::string name = each->ifa_name;
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family == AF_PACKET) {
      found.numbers[name] = number_of(*each);
      found.is_up[std::move(name)] = (each->ifa_flags & IFF_UP) != 0;
    } else {
      found.addresses.insert(text_of(*each->ifa_addr));
    }
  }
  return found;
}

}  // namespace swnat::rules
