// All that the engine tells of each namespace, side by side.
#pragma once

#include <vector>

#include "swnat/engine.h"

namespace swnat::nfq {

struct NamespaceReport {
  NamespaceUse use;
  TwoWayTraffic traffic;
};

// Of the policy's namespaces, sorted by id. Reads all sessions.
std::vector<NamespaceReport> namespace_reports(const Engine& engine);

// Whether it has sessions, ports or blocks of ports.
bool is_used(const NamespaceReport& report);

}  // namespace swnat::nfq
