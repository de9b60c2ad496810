#include "nfq/reload.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace swnat::nfq {
namespace {

constexpr std::size_t names_told = 8;

struct Key {
  const char* name;
  bool (*is_same)(const rules::Config& running, const rules::Config& loaded);
};

#define SWNAT_SAME(member)                                        \
  [](const rules::Config& running, const rules::Config& loaded) { \
    return running.member == loaded.member;                       \
  }

constexpr Key fixed_keys[] = {
    {"external.interface", SWNAT_SAME(external_interface)},
    {"external.addresses", SWNAT_SAME(external_addresses)},
    {"external.ports", SWNAT_SAME(policy.ports)},
    {"nat.mapping", SWNAT_SAME(policy.mapping)},
    {"nat.port_block (from 0 for all namespaces to blocks, or back)",
     [](const rules::Config& running, const rules::Config& loaded) {
       // Sizes may change, and which namespaces have blocks.
       return make_policy(running).has_port_blocks() == make_policy(loaded).has_port_blocks();
     }},
    {"nat.fwmark_mask", SWNAT_SAME(fwmark_mask)},
    {"nat.max_sessions", SWNAT_SAME(max_sessions)},
    {"nat.populate_memory", SWNAT_SAME(populate_memory)},
    {"queue.first", SWNAT_SAME(first_queue)},
    {"queue.workers", SWNAT_SAME(workers)},
    {"queue.max_packets", SWNAT_SAME(max_packets)},
    {"queue.fail_open", SWNAT_SAME(fail_open)},
    {"control.socket", SWNAT_SAME(control_socket)},
    {"control.state", SWNAT_SAME(state_file)},
    {"metrics.listen", SWNAT_SAME(metrics_listen)},
};

constexpr Key settings[] = {
    {"nat.filtering", SWNAT_SAME(policy.filtering)},
    {"nat.hairpin", SWNAT_SAME(policy.hairpin)},
    {"nat.at_limit", SWNAT_SAME(policy.at_limit)},
    {"[timeouts]", SWNAT_SAME(policy.timeouts)},
    {"control.repair", SWNAT_SAME(repair)},
    {"[log]", SWNAT_SAME(log)},
    {"control.admin_group", SWNAT_SAME(admin_group)},
    {"metrics.textfile", SWNAT_SAME(metrics_textfile)},
    {"[[drop]]", SWNAT_SAME(policy.drops)},
    {"[[redirect]]", SWNAT_SAME(policy.redirects)},
    {"[[forward]]", SWNAT_SAME(policy.forwards)},
};

#undef SWNAT_SAME

void add_names(std::vector<std::string>& lines, std::string_view what,
               const std::vector<std::string_view>& names) {
  if (names.empty()) return;
  const std::size_t told = std::min(names.size(), names_told);
  std::string line =
      fmt::format("[[namespace]] {}: {}", what,
                  fmt::join(names.begin(), names.begin() + std::ptrdiff_t(told), ", "));
  if (told < names.size()) line += fmt::format(" and {} others", names.size() - told);
  lines.push_back(std::move(line));
}

void add_namespaces(std::vector<std::string>& lines, const rules::Config& before,
                    const rules::Config& after) {
  std::map<std::string_view, const rules::NamespaceConfig*> earlier;
  for (const rules::NamespaceConfig& each : before.namespaces) earlier[each.name] = &each;
  std::vector<std::string_view> added;
  std::vector<std::string_view> changed;
  for (const rules::NamespaceConfig& each : after.namespaces) {
    const auto same_name = earlier.extract(each.name);
    if (same_name.empty()) {
      added.push_back(each.name);
    } else if (!(*same_name.mapped() == each)) {
      changed.push_back(each.name);
    }
  }
  std::vector<std::string_view> removed;
  for (const auto& [name, left] : earlier) removed.push_back(name);
  add_names(lines, "added", added);
  add_names(lines, "removed", removed);
  add_names(lines, "changed", changed);
}

}  // namespace

std::vector<std::string> fixed_keys_changed(const rules::Config& running,
                                            const rules::Config& loaded) {
  std::vector<std::string> lines;
  for (const Key& key : fixed_keys) {
    if (key.is_same(running, loaded)) continue;
    lines.push_back(fmt::format("{}: {} cannot change while the daemon runs; restart to change it",
                                loaded.file, key.name));
  }
  return lines;
}

std::vector<std::string> changes_between(const rules::Config& before, const rules::Config& after) {
  std::vector<std::string> lines;
  for (const Key& setting : settings) {
    if (!setting.is_same(before, after)) lines.push_back(fmt::format("{} changed", setting.name));
  }
  add_namespaces(lines, before, after);
  return lines;
}

}  // namespace swnat::nfq
