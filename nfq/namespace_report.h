// All that the engine tells of each namespace, side by side.
#pragma once

#include <optional>
#include <vector>

#include "swnat/engine.h"

namespace swnat::nfq {

struct NamespaceReport {
  NamespaceUse use;
  TwoWayTraffic traffic;
};

// Of the policy's namespaces, sorted by id. That reads all sessions: begin with a default reading,
// and call until there are reports, each of which takes as long as a batch of packets or two.
std::optional<std::vector<NamespaceReport>> namespace_reports(const Engine& engine,
                                                              TrafficReading& reading);

// Whether it has sessions, ports or blocks of ports.
bool is_used(const NamespaceReport& report);

}  // namespace swnat::nfq
