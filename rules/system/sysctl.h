// Sysctls: values below /proc/sys, and what they were before they were changed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swnat/policy.h"

namespace swnat::rules {

// Below /proc/sys: "net/ipv4/ip_forward".
struct Sysctl {
  std::string name;
  std::string value;

  friend bool operator==(const Sysctl&, const Sysctl&) = default;
};

// What a configuration asks for.
struct WantedSysctls {
  std::vector<Sysctl> values;
  // Added to net/ipv4/ip_local_reserved_ports, so that the gateway's own sockets stay off them:
  // what the NAT may hand out comes first, then other ports that are forwarded.
  std::vector<PortRange> reserved_ports;
  // From the first port that the NAT may hand out to the last.
  PortRange nat_ports;
  // Where those find ports instead, if what they have now leaves them too few: by default the NAT's
  // ports are all that they have by default.
  std::optional<PortRange> local_ports;
  // An interface whose router advertisements go on counting, if they did before the kernel forwards
  // IPv6: that alone would end it, and take away the routes that they made. Empty: none.
  std::string advertised_interface;
};
// With fewer than these a busy gateway runs out.
inline constexpr std::uint32_t enough_local_ports = 1024;
inline constexpr const char* local_ports_sysctl = "net/ipv4/ip_local_port_range";
inline constexpr const char* reserved_ports_sysctl = "net/ipv4/ip_local_reserved_ports";
inline constexpr const char* forwarding_sysctls[] = {"net/ipv4/ip_forward",
                                                     "net/ipv6/conf/all/forwarding"};

struct SysctlChange {
  std::string original;
  std::vector<std::string> written;  // more than one while a change is under way
};

// Theory of operation
//
// `changes` has each sysctl that is not as it was found: the value then, and what was written. Who
// finds a value that is not what was written knows that somebody else changed it since, and leaves
// it, or takes it as the new original.
//
// Switching forwarding on or off writes to other sysctls too: to `forwarding` of every interface
// and, in IPv4, the other way round to accept_redirects. `forwarding` has what those were before.
struct SysctlRecord {
  std::map<std::string, SysctlChange> changes;
  std::map<std::string, std::string> forwarding;
};

// What there is to do: to be recorded before it is done, so that it can be undone whatever happens.
struct SysctlWork {
  std::vector<Sysctl> asked;  // all values that it is about; of reserved ports only ours
  SysctlRecord after;
  std::vector<Sysctl> writes;  // in order; those that put originals back come first
};

// From what `record` tells of earlier changes to the wanted values.
SysctlWork sysctl_work(const WantedSysctls& wanted, const SysctlRecord& record);
// The same to what was `asked` for once.
SysctlWork sysctl_work(const std::vector<Sysctl>& asked, const SysctlRecord& record);
// A line for each that is not what was asked for, as "net/ipv4/ip_forward is 0, not 1". One that is
// not there is no difference: its interface is gone.
std::vector<std::string> sysctl_differences(const std::vector<Sysctl>& asked);
// What is true at any moment while one record becomes the other.
SysctlRecord during(const SysctlRecord& before, const SysctlRecord& after);
// The writes that lead from what `record` tells back to the originals, in order.
std::vector<Sysctl> sysctl_restoration(const SysctlRecord& record);

// What else writing to this sysctl changed, as it was before.
std::vector<Sysctl> switched_with(const std::string& name, const SysctlRecord& record);

// Throws KernelError.
void write_sysctl(const Sysctl& sysctl);
// The same, but nothing if there is none of this name.
void write_sysctl_if_there(const Sysctl& sysctl);
// nullopt if there is none of this name, such as of an interface that is gone. Throws KernelError
// if it cannot be opened for another reason.
std::optional<std::string> read_sysctl(std::string_view name);

// A list of ports as the kernel prints it ("80,1000-2000") with ranges added.
std::string merge_ports(std::string_view list, const std::vector<PortRange>& ranges);
// The same of two lists.
std::string merge_ports(std::string_view list, std::string_view other);

}  // namespace swnat::rules
