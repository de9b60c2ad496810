// Sysctls: values below /proc/sys, and what they were before they were changed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/plan.h"

namespace swnat::rules {

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

// From what `record` tells of earlier changes to the plan's values.
SysctlWork sysctl_work(const Plan& plan, const SysctlRecord& record);
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
