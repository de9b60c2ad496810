#include "rules/system/sysctl.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bitset>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

#include "rules/system/sysctl_reader.h"
#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

std::string path_of(std::string_view name) {
  return fmt::format("/proc/sys/{}", name);
}

[[noreturn]] void fail(const std::string& path, int error) {
  throw KernelError(fmt::format("{} cannot be read: {}", path, std::strerror(error)));
}

bool is_forwarding(std::string_view name) {
  return std::find(std::begin(forwarding_sysctls), std::end(forwarding_sysctls), name) !=
         std::end(forwarding_sysctls);
}

// "net/ipv4/" or "net/ipv6/".
std::string_view family_folder(std::string_view name) {
  return name.substr(0, std::string_view("net/ipv4/").size());
}

bool is_of_interface(std::string_view name) {
  return name.substr(family_folder(name).size()).starts_with("conf/");
}

using PortSet = std::bitset<65536>;

void reserve(PortSet& ports, std::uint32_t first, std::uint32_t last) {
  for (std::uint32_t port = first; port <= last; ++port) ports.set(port);
}

PortSet ports_in(std::string_view list) {
  PortSet ports;
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    std::uint16_t first = 0;
    const char* end = item.data() + item.size();
    const auto [dash, error] = std::from_chars(item.data(), end, first);
    if (error != std::errc{}) continue;
    std::uint16_t last = first;
    if (dash != end && *dash == '-') std::from_chars(dash + 1, end, last);
    reserve(ports, first, last);
  }
  return ports;
}

// As the kernel prints it.
std::string to_text(const PortSet& ports) {
  std::string text;
  for (std::uint32_t port = 0; port < ports.size(); ++port) {
    if (!ports[port]) continue;
    std::uint32_t last = port;
    while (last + 1 < ports.size() && ports[last + 1]) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", port);
    if (last != port) text += fmt::format("-{}", last);
    port = last;
  }
  return text;
}

// How many of a range ("32768\t60999") are not in a list.
std::size_t ports_left(const std::string& range, std::string_view reserved) {
  std::istringstream text(range);
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  if (!(text >> first >> last)) return 0;
  PortSet ports;
  reserve(ports, first, last);
  return (ports & ~ports_in(reserved)).count();
}

std::string on_one_line(std::string value) {
  std::replace(value.begin(), value.end(), '\t', ' ');
  return value;
}

// What switching forwarding writes to besides, as it is now.
void read_switched(std::string_view forwarding, SysctlReader& reader,
                   std::map<std::string, std::string>& values) {
  const std::string family(family_folder(forwarding));
  std::vector<std::string> names;
  if (family == "net/ipv4/") names.push_back("net/ipv4/conf/all/accept_redirects");
  std::error_code error;
  const std::string folder = path_of(family + "conf");
  const std::filesystem::directory_iterator interfaces(folder, error);
  if (error && error != std::errc::no_such_file_or_directory) fail(folder, error.value());
  for (const auto& entry : interfaces) {
    const std::string interface = entry.path().filename();
    // "all" is the switch itself.
    if (interface != "all") names.push_back(fmt::format("{}conf/{}/forwarding", family, interface));
  }
  for (const std::string& name : names) {
    if (const auto value = reader.read(name)) values[name] = *value;
  }
}

bool is_written(const SysctlChange& change, const std::string& value) {
  return std::find(change.written.begin(), change.written.end(), value) != change.written.end();
}

// Puts back what nobody changed since.
void put_back(const std::string& name, const SysctlChange& change, const SysctlRecord& record,
              SysctlReader& reader, std::vector<Sysctl>& writes) {
  const auto current = reader.read(name);
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

// The wanted value for a range of ports, as the kernel writes it ("32768\t60999"), if the present
// one would leave too few.
std::optional<std::string> wanted_local_ports(const WantedSysctls& wanted,
                                              const std::string& present) {
  std::istringstream text(present);
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  if (!wanted.local_ports || !(text >> first >> last)) return std::nullopt;
  const PortRange reserved = wanted.nat_ports;
  const std::uint32_t below = std::min(last + 1, std::uint32_t{reserved.first});
  const std::uint32_t above = std::max(first, reserved.last + 1u);
  const std::uint32_t left =
      (below > first ? below - first : 0) + (last + 1 > above ? last + 1 - above : 0);
  if (left >= enough_local_ports) return std::nullopt;
  return fmt::format("{}\t{}", wanted.local_ports->first, wanted.local_ports->last);
}

// 2 where 1 would not mean any more what it means now. What is off, or was off while the kernel
// forwarded already, stays so.
std::optional<Sysctl> wanted_advertisements(const WantedSysctls& wanted,
                                            const SysctlRecord& record) {
  if (wanted.advertised_interface.empty()) return std::nullopt;
  const std::string folder = fmt::format("net/ipv6/conf/{}/", wanted.advertised_interface);
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
  const std::string path = path_of(name);
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno != ENOENT && errno != ENOTDIR) fail(path, errno);
  if (fd < 0) return std::nullopt;
  std::string value;
  char block[4096];
  ssize_t count = 0;
  while ((count = read(fd, block, sizeof block)) > 0) {
    value.append(block, static_cast<std::size_t>(count));
  }
  close(fd);
  // Some cannot be read before they are set, or any more when their interface is gone.
  if (count < 0) return std::nullopt;
  value.resize(std::min(value.size(), value.find('\n')));
  return value;
}

namespace {

// 0, an error, or -1 where it took only a part.
int try_to_write(const Sysctl& sysctl) {
  const int fd = open(path_of(sysctl.name).c_str(), O_WRONLY | O_CLOEXEC);
  // Something must be written even to empty a list.
  const std::string line = sysctl.value + '\n';
  const ssize_t written = fd < 0 ? -1 : write(fd, line.data(), line.size());
  const int error = errno;
  if (fd >= 0) close(fd);
  if (written < 0) return error;
  return written == static_cast<ssize_t>(line.size()) ? 0 : -1;
}

[[noreturn]] void fail_to_write(const Sysctl& sysctl, int error) {
  throw KernelError(fmt::format("{} cannot be set to \"{}\": {}", path_of(sysctl.name),
                                sysctl.value,
                                error > 0 ? std::strerror(error) : "it takes only a part of that"));
}

}  // namespace

void write_sysctl(const Sysctl& sysctl) {
  if (const int error = try_to_write(sysctl); error != 0) fail_to_write(sysctl, error);
}

void write_sysctl_if_there(const Sysctl& sysctl) {
  const int error = try_to_write(sysctl);
  if (error != 0 && error != ENOENT && error != ENOTDIR) fail_to_write(sysctl, error);
}

SysctlWork sysctl_work(const WantedSysctls& wanted, const SysctlRecord& record) {
  std::vector<Sysctl> asked = wanted.values;
  asked.insert(asked.begin(), {reserved_ports_sysctl, merge_ports("", wanted.reserved_ports)});
  if (const auto accepting = wanted_advertisements(wanted, record)) {
    asked.insert(asked.begin(), *accepting);
  }
  const std::string local = read_sysctl(local_ports_sysctl).value_or("");
  if (const auto value =
          wanted_local_ports(wanted, original_of(local_ports_sysctl, local, record))) {
    asked.insert(asked.begin(), {local_ports_sysctl, *value});
  }
  return sysctl_work(asked, record);
}

SysctlWork sysctl_work(const std::vector<Sysctl>& asked, const SysctlRecord& record) {
  SysctlWork work;
  SysctlReader reader;
  work.asked = asked;
  std::set<std::string_view> stays;
  for (const Sysctl& each : asked) stays.insert(each.name);
  for (const auto& [name, change] : record.changes) {
    if (!stays.contains(name)) put_back(name, change, record, reader, work.writes);
  }
  for (const Sysctl& each : asked) {
    const auto current = reader.read(each.name);
    // Of an interface that is not there yet.
    if (!current && is_of_interface(each.name)) continue;
    if (!current) throw KernelError(fmt::format("{} cannot be read", path_of(each.name)));
    const std::string original = original_of(each.name, *current, record);
    const bool is_list = each.name == reserved_ports_sysctl;
    const std::string value = is_list ? merge_ports(original, each.value) : each.value;
    set(each.name, original, *current, value, work);
    if (!is_forwarding(each.name) || !work.after.changes.contains(each.name)) continue;
    if (*current != value) {
      read_switched(each.name, reader, work.after.forwarding);
      continue;
    }
    for (const Sysctl& other : switched_with(each.name, record)) {
      work.after.forwarding[other.name] = other.value;
    }
  }
  // An interface that is not asked for any more goes on forwarding as long as all do.
  for (const auto& [name, value] : work.after.forwarding) work.after.changes.erase(name);
  return work;
}

std::vector<std::string> sysctl_differences(const std::vector<Sysctl>& asked) {
  const auto reserved = std::find_if(asked.begin(), asked.end(), [](const Sysctl& each) {
    return each.name == reserved_ports_sysctl;
  });
  SysctlReader reader;
  std::vector<std::string> lines;
  for (const Sysctl& each : asked) {
    const auto current = reader.read(each.name);
    if (!current || *current == each.value) continue;
    if (each.name == reserved_ports_sysctl) {
      if (merge_ports(*current, each.value) == merge_ports(*current, "")) continue;
      lines.push_back(fmt::format("{} lacks {}", each.name, each.value));
    } else if (each.name != local_ports_sysctl || reserved == asked.end() ||
               ports_left(*current, reserved->value) < enough_local_ports) {
      lines.push_back(fmt::format("{} is {}, not {}", each.name, on_one_line(*current),
                                  on_one_line(each.value)));
    }
  }
  return lines;
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
  SysctlReader reader;
  std::vector<Sysctl> writes;
  // Forwarding ends before anything else changes.
  for (const auto& [name, change] : record.changes) {
    if (is_forwarding(name)) put_back(name, change, record, reader, writes);
  }
  for (const auto& [name, change] : record.changes) {
    if (!is_forwarding(name)) put_back(name, change, record, reader, writes);
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
  PortSet ports = ports_in(list);
  for (const PortRange& range : ranges) reserve(ports, range.first, range.last);
  return to_text(ports);
}

std::string merge_ports(std::string_view list, std::string_view other) {
  return to_text(ports_in(list) | ports_in(other));
}

}  // namespace swnat::rules
