#include "nfq/reload.h"

#include <fmt/format.h>

namespace swnat::nfq {
namespace {

struct FixedKey {
  const char* name;
  bool (*same)(const rules::Config& running, const rules::Config& loaded);
};

#define SWNAT_SAME(member)                                        \
  [](const rules::Config& running, const rules::Config& loaded) { \
    return running.member == loaded.member;                       \
  }

constexpr FixedKey fixed_keys[] = {
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

#undef SWNAT_SAME

}  // namespace

std::vector<std::string> fixed_keys_changed(const rules::Config& running,
                                            const rules::Config& loaded) {
  std::vector<std::string> lines;
  for (const FixedKey& key : fixed_keys) {
    if (key.same(running, loaded)) continue;
    lines.push_back(fmt::format("{}: {} cannot change while the daemon runs; restart to change it",
                                loaded.file, key.name));
  }
  return lines;
}

}  // namespace swnat::nfq
