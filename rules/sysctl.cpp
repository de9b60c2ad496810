#include "rules/sysctl.h"

#include <fmt/format.h>

#include <algorithm>
#include <bitset>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "rules/kernel.h"

namespace swnat::rules {
namespace {

std::string path_of(std::string_view name) {
  return fmt::format("/proc/sys/{}", name);
}

bool is_forwarding(std::string_view name) {
  return std::find(std::begin(forwarding_sysctls), std::end(forwarding_sysctls), name) !=
         std::end(forwarding_sysctls);
}

// "net/ipv4/" or "net/ipv6/".
std::string_view family_folder(std::string_view name) {
  return name.substr(0, std::string_view("net/ipv4/").size());
}

// What switching forwarding writes to besides, as it is now.
void read_switched(std::string_view forwarding, std::map<std::string, std::string>& values) {
  const std::string family(family_folder(forwarding));
  std::vector<std::string> names;
  if (family == "net/ipv4/") names.push_back("net/ipv4/conf/all/accept_redirects");
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path_of(family + "conf"), ignored)) {
    const std::string interface = entry.path().filename();
    // "all" is the switch itself.
    if (interface != "all") names.push_back(fmt::format("{}conf/{}/forwarding", family, interface));
  }
  for (const std::string& name : names) {
    if (const auto value = read_sysctl(name)) values[name] = *value;
  }
}

bool is_written(const SysctlChange& change, const std::string& value) {
  return std::find(change.written.begin(), change.written.end(), value) != change.written.end();
}

// Puts back what nobody changed since.
void put_back(const std::string& name, const SysctlChange& change, const SysctlRecord& record,
              std::vector<Sysctl>& writes) {
  const auto current = read_sysctl(name);
  if (!current || !is_written(change, *current)) return;
  if (*current != change.original) writes.push_back({name, change.original});
  for (Sysctl& other : switched_with(name, record)) writes.push_back(std::move(other));
}

// The original value, if `current` is what we wrote; else `current` itself.
std::string original_of(const std::string& name, const std::string& current,
                        const SysctlRecord& record) {
  const auto found = record.changes.find(name);
  return found != record.changes.end() && is_written(found->second, current)
             ? found->second.original
             : current;
}

void set(const std::string& name, const std::string& original, const std::string& current,
         const std::string& value, SysctlWork& work) {
  if (original != value) work.after.changes[name] = {original, {value}};
  if (current != value) work.writes.push_back({name, value});
}

// The plan's value for a range of ports, as the kernel writes it ("32768\t60999"), if the present
// one would leave too few.
std::optional<std::string> wanted_local_ports(const Plan& plan, const std::string& present) {
  std::istringstream text(present);
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  if (!plan.local_ports || !(text >> first >> last)) return std::nullopt;
  const PortRange reserved = plan.nat_ports;
  const std::uint32_t below = std::min(last + 1, std::uint32_t{reserved.first});
  const std::uint32_t above = std::max(first, reserved.last + 1u);
  const std::uint32_t left =
      (below > first ? below - first : 0) + (last + 1 > above ? last + 1 - above : 0);
  if (left >= enough_local_ports) return std::nullopt;
  return fmt::format("{}\t{}", plan.local_ports->first, plan.local_ports->last);
}

// 2 where 1 would not mean any more what it means now. What is off, or was off while the kernel
// forwarded already, stays so.
std::optional<Sysctl> wanted_advertisements(const Plan& plan, const SysctlRecord& record) {
  if (plan.advertised_interface.empty()) return std::nullopt;
  const std::string folder = fmt::format("net/ipv6/conf/{}/", plan.advertised_interface);
  const std::string accept = folder + "accept_ra";
  const std::string forwarding = folder + "forwarding";
  const auto former = record.forwarding.find(forwarding);
  const std::string forwarded =
      former != record.forwarding.end() ? former->second : read_sysctl(forwarding).value_or("1");
  const std::string accepted = original_of(accept, read_sysctl(accept).value_or("0"), record);
  if (forwarded != "0" || accepted != "1") return std::nullopt;
  return Sysctl{accept, "2"};
}

}  // namespace

std::optional<std::string> read_sysctl(std::string_view name) {
  std::ifstream file(path_of(name));
  std::string value;
  if (!file || (!std::getline(file, value) && !file.eof())) return std::nullopt;
  return value;
}

void write_sysctl(const Sysctl& sysctl) {
  errno = 0;
  std::ofstream file(path_of(sysctl.name));
  // Something must be written even to empty a list.
  file << sysctl.value << '\n' << std::flush;
  if (!file) {
    throw KernelError(fmt::format("{} cannot be set to \"{}\": {}", path_of(sysctl.name),
                                  sysctl.value, std::strerror(errno)));
  }
}

SysctlWork sysctl_work(const Plan& plan, const SysctlRecord& record) {
  SysctlWork work;
  std::vector<Sysctl> wanted = plan.sysctls;
  const auto reserved = read_sysctl(reserved_ports_sysctl);
  if (!reserved)
    throw KernelError(fmt::format("{} cannot be read", path_of(reserved_ports_sysctl)));
  const std::string unreserved = original_of(reserved_ports_sysctl, *reserved, record);
  wanted.insert(wanted.begin(),
                {reserved_ports_sysctl, merge_ports(unreserved, plan.reserved_ports)});
  if (const auto accepting = wanted_advertisements(plan, record)) {
    wanted.insert(wanted.begin(), *accepting);
  }
  const std::string local = read_sysctl(local_ports_sysctl).value_or("");
  if (const auto value = wanted_local_ports(plan, original_of(local_ports_sysctl, local, record))) {
    wanted.insert(wanted.begin(), {local_ports_sysctl, *value});
  }

  for (const auto& earlier : record.changes) {
    const bool stays = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const Sysctl& each) { return each.name == earlier.first; });
    if (!stays) put_back(earlier.first, earlier.second, record, work.writes);
  }
  for (const Sysctl& each : wanted) {
    const auto current = read_sysctl(each.name);
    if (!current) throw KernelError(fmt::format("{} cannot be read", path_of(each.name)));
    set(each.name, original_of(each.name, *current, record), *current, each.value, work);
    if (!is_forwarding(each.name) || !work.after.changes.contains(each.name)) continue;
    if (*current != each.value) {
      read_switched(each.name, work.after.forwarding);
      continue;
    }
    for (const Sysctl& other : switched_with(each.name, record)) {
      work.after.forwarding[other.name] = other.value;
    }
  }
  return work;
}

SysctlRecord during(const SysctlRecord& before, const SysctlRecord& after) {
  SysctlRecord both = after;
  for (const auto& [name, change] : before.changes) {
    const auto [found, is_new] = both.changes.emplace(name, change);
    if (is_new) continue;
    auto& written = found->second.written;
    written.insert(written.end(), change.written.begin(), change.written.end());
  }
  both.forwarding.insert(before.forwarding.begin(), before.forwarding.end());
  return both;
}

std::vector<Sysctl> sysctl_restoration(const SysctlRecord& record) {
  std::vector<Sysctl> writes;
  // Forwarding ends before anything else changes.
  for (const auto& [name, change] : record.changes) {
    if (is_forwarding(name)) put_back(name, change, record, writes);
  }
  for (const auto& [name, change] : record.changes) {
    if (!is_forwarding(name)) put_back(name, change, record, writes);
  }
  return writes;
}

std::vector<Sysctl> switched_with(const std::string& name, const SysctlRecord& record) {
  std::vector<Sysctl> all;
  if (!is_forwarding(name)) return all;
  for (const auto& [other, value] : record.forwarding) {
    if (family_folder(other) == family_folder(name)) all.push_back({other, value});
  }
  return all;
}

std::string merge_ports(std::string_view list, const std::vector<PortRange>& ranges) {
  std::bitset<65536> reserved;
  const auto reserve = [&](std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t port = first; port <= last; ++port) reserved.set(port);
  };
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    std::uint16_t first = 0;
    const char* end = item.data() + item.size();
    const auto [dash, error] = std::from_chars(item.data(), end, first);
    if (error != std::errc{}) continue;
    std::uint16_t last = first;
    if (dash != end && *dash == '-') std::from_chars(dash + 1, end, last);
    reserve(first, last);
  }
  for (const PortRange& range : ranges) reserve(range.first, range.last);

  std::string merged;
  for (std::uint32_t port = 0; port < reserved.size(); ++port) {
    if (!reserved[port]) continue;
    std::uint32_t last = port;
    while (last + 1 < reserved.size() && reserved[last + 1]) ++last;
    merged += fmt::format("{}{}", merged.empty() ? "" : ",", port);
    if (last != port) merged += fmt::format("-{}", last);
    port = last;
  }
  return merged;
}

}  // namespace swnat::rules
