#include "nfq/memory_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>

namespace swnat::nfq {
namespace {

using std::filesystem::path;

// The names of one version of control groups.
struct Version {
  const char* limit;
  const char* usage;
  std::vector<std::string_view> reclaimable;  // in memory.stat
};
const Version version_1{
    "memory.limit_in_bytes", "memory.usage_in_bytes", {"total_inactive_file", "total_active_file"}};
const Version version_2{
    "memory.max", "memory.current", {"inactive_file", "active_file", "slab_reclaimable"}};

// Version 1 has no word for "none": it is the greatest number of whole pages.
constexpr std::uint64_t unlimited = std::uint64_t{1} << 62;

// "max" is none.
std::optional<std::uint64_t> read_number(const path& file) {
  std::uint64_t number = 0;
  if (!(std::ifstream(file) >> number)) return std::nullopt;
  return number;
}

// The sum of the lines "name number", or "name: number kB", of these names.
std::uint64_t sum_of(const path& file, const std::vector<std::string_view>& names) {
  std::uint64_t sum = 0;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t number = 0;
    std::string unit;
    if (!(words >> name >> number)) continue;
    if (name.ends_with(':')) name.pop_back();
    if (words >> unit && unit == "kB") number *= 1024;
    if (std::ranges::find(names, name) != names.end()) sum += number;
  }
  return sum;
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find(','));
    if (one == word) return true;
    list.remove_prefix(std::min(one.size() + 1, list.size()));
  }
  return false;
}

// Spaces and the like are written as three octal digits there.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '\\' && i + 3 < text.size();
    if (!is_escape) {
      result += text[i];
      continue;
    }
    result += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 |
                                (text[i + 3] - '0'));
    i += 3;
  }
  return result;
}

// Where a hierarchy that limits memory is to be seen, and from which group down.
struct Mount {
  std::string group;
  std::string place;
  bool is_version_2 = false;
};

// proc_pid_mountinfo(5): ID PARENT DEVICE GROUP PLACE OPTIONS … - TYPE SOURCE OPTIONS
std::vector<Mount> memory_mounts(const path& root) {
  std::vector<Mount> mounts;
  std::ifstream lines(root / "proc/self/mountinfo");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream before(line.substr(0, separator));
    std::istringstream after(line.substr(separator + 3));
    std::string skipped, group, place, type, source, options;
    before >> skipped >> skipped >> skipped >> group >> place;
    after >> type >> source >> options;
    const bool is_version_2 = type == "cgroup2";
    if (!is_version_2 && (type != "cgroup" || !has_word(options, "memory"))) continue;
    mounts.push_back({unescaped(group), unescaped(place), is_version_2});
  }
  return mounts;
}

// proc_pid_cgroup(5): "0::GROUP" of version 2, "ID:CONTROLLERS:GROUP" of version 1.
std::string own_group(const path& root, bool is_version_2) {
  std::ifstream lines(root / "proc/self/cgroup");
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string_view controllers =
        std::string_view(line).substr(first + 1, second - first - 1);
    const bool is_it = is_version_2 ? controllers.empty() : has_word(controllers, "memory");
    if (is_it) return line.substr(second + 1);
  }
  return "/";
}

// The group's folder below the mount's; the mount's own if the group is not to be seen from here.
path below(const std::string& group, const std::string& of_mount) {
  const path relative = path(group).lexically_relative(of_mount);
  const bool is_seen = !relative.empty() && *relative.begin() != "..";
  return is_seen ? relative : path(".");
}

std::optional<MemoryLimit> limit_of(const path& folder, const std::string& name,
                                    const Version& version) {
  const auto limit = read_number(folder / version.limit);
  const auto usage = read_number(folder / version.usage);
  if (!limit || *limit >= unlimited || !usage) return std::nullopt;
  const std::uint64_t free_again =
      std::min(*usage, sum_of(folder / "memory.stat", version.reclaimable));
  const std::uint64_t taken = *usage - free_again;
  return MemoryLimit{fmt::format("control group {} ({})", name, version.limit),
                     *limit - std::min(*limit, taken), *limit};
}

void add_groups(const path& root, const Mount& mount, std::vector<MemoryLimit>& limits) {
  const Version& version = mount.is_version_2 ? version_2 : version_1;
  const std::string group = own_group(root, mount.is_version_2);
  const path top = root / path(mount.place).relative_path();
  path inner = below(group, mount.group);
  for (;; inner = inner.parent_path()) {
    const path name = (path(mount.group) / inner).lexically_normal();
    if (const auto limit = limit_of(top / inner, name, version)) limits.push_back(*limit);
    if (inner.empty() || inner == ".") return;
  }
}

std::optional<MemoryLimit> resource_limit(const char* name, decltype(RLIMIT_AS) which,
                                          std::uint64_t taken) {
  rlimit limit{};
  if (::getrlimit(which, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return MemoryLimit{name, limit.rlim_cur - std::min<std::uint64_t>(limit.rlim_cur, taken),
                     limit.rlim_cur};
}

std::string fault_of(std::uint64_t need, const char* verb, const std::string& purpose,
                     const std::vector<MemoryLimit>& limits) {
  const auto tightest = std::ranges::min_element(limits, {}, &MemoryLimit::left);
  if (tightest == limits.end() || tightest->left >= need) return "";
  return fmt::format(
      "not enough memory: {} {} {}, but the {} has {} left of {}; make"
      " nat.max_sessions smaller, or the limit larger",
      purpose, verb, size_text(need), tightest->what, size_text(tightest->left),
      size_text(tightest->limit));
}

}  // namespace

std::vector<MemoryLimit> memory_limits(const path& root) {
  std::vector<MemoryLimit> limits;
  for (const Mount& mount : memory_mounts(root)) add_groups(root, mount, limits);
  const path machine = root / "proc/meminfo";
  const std::uint64_t all = sum_of(machine, {"MemTotal"});
  const std::uint64_t left = sum_of(machine, {"MemAvailable"});
  // Where only a part of it is shown, nothing is known.
  if (all != 0 && left != 0) limits.push_back({"machine", left, all});
  return limits;
}

std::vector<MemoryLimit> reservation_limits(const path& root) {
  const path own = root / "proc/self/status";
  std::vector<MemoryLimit> limits;
  for (const auto& limit :
       {resource_limit("address space (RLIMIT_AS)", RLIMIT_AS, sum_of(own, {"VmSize"})),
        resource_limit("data segment (RLIMIT_DATA)", RLIMIT_DATA, sum_of(own, {"VmData"}))}) {
    if (limit) limits.push_back(*limit);
  }
  return limits;
}

std::string size_text(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string memory_fault(const MemoryNeed& need, const std::vector<MemoryLimit>& used,
                         const std::vector<MemoryLimit>& reserved) {
  const std::string fault = fault_of(need.used, "may need", need.purpose, used);
  return fault.empty() ? fault_of(need.reserved, "reserves", need.purpose, reserved) : fault;
}

}  // namespace swnat::nfq
