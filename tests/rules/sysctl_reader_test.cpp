// What the kernel tells of interfaces when it lists them is what their files say.
#include "rules/system/sysctl_reader.h"

#include <doctest/doctest.h>
#include <sched.h>

#include <string>
#include <thread>

#include "rules/system/sysctl.h"

namespace swnat::rules {
namespace {

void compare(SysctlReader& reader) {
  for (const char* name :
       {"net/ipv4/conf/lo/rp_filter", "net/ipv4/conf/lo/accept_local",
        "net/ipv4/conf/lo/forwarding", "net/ipv6/conf/lo/forwarding", "net/ipv4/conf/all/rp_filter",
        "net/ipv4/ip_forward", "net/ipv4/conf/default/forwarding", "net/ipv4/conf/gone0/forwarding",
        "net/ipv4/conf/"}) {
    CAPTURE(name);
    CHECK(reader.read(name) == read_sysctl(name));
  }
}

// In a network namespace that ends with the thread.
void write_and_compare() {
  if (unshare(CLONE_NEWNET) != 0) return;  // not as root: only what is there is read
  SysctlReader reader;
  compare(reader);
  int value = 0;
  for (const char* name : {"net/ipv4/conf/lo/rp_filter", "net/ipv4/conf/lo/accept_local",
                           "net/ipv4/ip_forward", "net/ipv4/conf/lo/forwarding"}) {
    CAPTURE(name);
    const Sysctl sysctl{name, std::to_string(value++ == 0 ? 2 : value == 4 ? 0 : 1)};
    write_sysctl(sysctl);
    reader.wrote(name);
    CHECK(reader.read(name) == sysctl.value);
    compare(reader);
    SysctlReader other;
    compare(other);
  }
}

TEST_CASE("sysctls of interfaces are listed as their files have them, and written ones are seen") {
  SysctlReader reader;
  compare(reader);
  std::thread(write_and_compare).join();
}

TEST_CASE("a sysctl of an interface that is gone is no failure to put back") {
  write_sysctl_if_there({"net/ipv4/conf/gone0/forwarding", "1"});
}

}  // namespace
}  // namespace swnat::rules
