#include "rules/link.h"

#include <fmt/format.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "rules/kernel.h"

namespace swnat::rules {

Link link(const std::string& interface) {
  const auto fail = [&](int error) {
    throw KernelError(
        fmt::format("interface {} cannot be looked at: {}", interface, std::strerror(error)));
  };
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail(errno);
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  const int error = ioctl(fd, SIOCGIFFLAGS, &request) == 0 ? 0 : errno;
  close(fd);
  if (error == ENODEV) return Link::missing;
  if (error != 0) fail(error);
  return (request.ifr_flags & IFF_UP) != 0 ? Link::up : Link::down;
}

}  // namespace swnat::rules
