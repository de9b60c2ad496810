// What programs change in the kernel's rules, interfaces, addresses and routes, as netlink tells
// it.
#pragma once

#include <array>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>

#include "nfq/file_descriptor.h"
#include "nfq/netlink_attributes.h"

namespace swnat::nfq {

// A socket that is told what happens in these groups; reading from it never waits. Throws Error.
FileDescriptor join_netlink(int protocol, std::initializer_list<int> groups);

struct KernelChange {
  bool is_any = false;     // something that may concern us
  bool is_urgent = false;  // something of ours went, or an interface of ours changed
};

class KernelEvents {
 public:
  // Joins the groups. Throws Error.
  KernelEvents();

  // To be polled for reading.
  std::array<int, 2> fds() const { return {rules_.get(), routing_.get()}; }

  // Whose going, coming and change is urgent.
  void set_interfaces(std::set<std::string, std::less<>> names) { interfaces_ = std::move(names); }

  // Takes all that waits. Where the kernel says that it could not tell everything, that is urgent.
  KernelChange read();

 private:
  FileDescriptor rules_;
  FileDescriptor routing_;
  std::set<std::string, std::less<>> interfaces_;
};

// What one message of either kind tells.
KernelChange nftables_change(NetlinkBytes message);
KernelChange routing_change(NetlinkBytes message,
                            const std::set<std::string, std::less<>>& interfaces);

}  // namespace swnat::nfq
