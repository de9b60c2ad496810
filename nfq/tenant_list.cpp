#include "nfq/tenant_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/namespace_report.h"
#include "nfq/namespace_request.h"
#include "nfq/protocol_name.h"
#include "swnat/session_pattern.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t namespaces_per_piece = 256;

using Forwards = std::unordered_map<NamespaceId, Json>;

// Forwards that have room of their own, by namespace.
Forwards limited_forwards(const Daemon& daemon) {
  Forwards forwards;
  for (const ForwardUse& use : daemon.engine().forwards()) {
    forwards[use.namespace_id].push_back({{"protocol", protocol_name(use.protocol)},
                                          {"external", to_text(use.external)},
                                          {"sessions", use.sessions},
                                          {"session_limit", use.session_limit}});
  }
  return forwards;
}

bool has_something(const NamespaceReport& report, const Forwards& forwards) {
  const NamespaceUse& use = report.use;
  return use.sessions != 0 || use.ports != 0 || use.port_blocks != 0 || use.evicted != 0 ||
         use.refused != 0 || !(report.traffic == TwoWayTraffic{}) || forwards.contains(use.id);
}

// Members of a range that are not alone in it.
std::vector<NamespaceRange> ranges_of(const rules::Config& config) {
  std::vector<NamespaceRange> ranges;
  for (const rules::NamespacePiece& piece : rules::namespace_pieces(config)) {
    if (piece.config->is_range()) ranges.push_back({piece.first, piece.last});
  }
  return ranges;
}

bool is_asked_for(const Json& request, const char* key) {
  const auto found = request.find(key);
  if (found == request.end()) return false;
  if (!found->is_boolean()) throw Error(fmt::format("'{}' must be true or false", key));
  return found->get<bool>();
}

std::vector<NamespaceRange> wanted_namespaces(const Json& request, const rules::Config& config) {
  const auto wanted = request.find("namespace");
  if (wanted == request.end()) return {NamespaceRange{}};
  if (!wanted->is_string()) throw Error("'namespace' must be text");
  return requested_namespaces(wanted->get_ref<const std::string&>(), config);
}

Json port_json(const PortUse& use) {
  return {{"external", to_text(use.external)},
          {"protocol", protocol_name(use.protocol)},
          {"used", use.used},
          {"resting", use.resting},
          {"withheld", use.withheld},
          {"free", use.free},
          {"total", use.total()}};
}

}  // namespace

ControlAnswer list_namespaces(Daemon& daemon, const Json& request) {
  struct List {
    std::shared_ptr<const rules::Config> config;
    Forwards forwards;
    std::shared_ptr<const MemberKeeper::Interfaces> interfaces;
    TrafficReading reading = {};
    std::optional<std::vector<NamespaceReport>> reports = {};
    std::size_t next = 0;
  };
  const auto wanted = wanted_namespaces(request, *daemon.config());
  const bool has_all = is_asked_for(request, "all");
  const bool only_used = is_asked_for(request, "used");
  auto all = std::make_shared<List>(
      List{daemon.config(), limited_forwards(daemon), daemon.member_interfaces()});
  const auto is_left_out = [=, ranges = ranges_of(*all->config)](const NamespaceReport& one) {
    const bool may_be_left_out = !has_all && any_contains(ranges, one.use.id);
    return !any_contains(wanted, one.use.id) || (only_used && !is_used(one)) ||
           (may_be_left_out && !has_something(one, all->forwards) &&
            !all->interfaces->contains(one.use.id));
  };
  return list([all, &daemon, is_left_out](std::string& text) {
    if (!all->reports) {
      all->reports = namespace_reports(daemon.engine(), all->reading);
      if (all->reports) std::erase_if(*all->reports, is_left_out);
      return true;
    }
    const auto rest = std::span(*all->reports).subspan(all->next);
    const auto piece = rest.first(std::min(rest.size(), namespaces_per_piece));
    for (const auto& [use, traffic] : piece) {
      Json one = {
          {"name", rules::namespace_name(*all->config, use.id)},
          {"fwmark", use.id},
          {"sessions", use.sessions},
          {"session_limit", use.session_limit},
          {"sessions_made", use.sessions_made},
          {"ports", use.ports},
          {"port_limit", use.port_limit},
          {"port_block", use.port_block},
          {"port_blocks", use.port_blocks},
          {"evicted", use.evicted},
          {"refused", use.refused},
          {"forwards", all->forwards.contains(use.id) ? all->forwards.at(use.id) : Json::array()},
          {"outbound", traffic_json(traffic.outbound)},
          {"inbound", traffic_json(traffic.inbound)}};
      // Of a range: by which it comes now.
      const auto interface = all->interfaces->find(use.id);
      if (interface != all->interfaces->end()) one["interface"] = interface->second;
      text += line(one);
    }
    all->next += piece.size();
    return all->next < all->reports->size();
  });
}

ControlAnswer list_ports(Daemon& daemon, const Json&) {
  return list([&daemon](std::string& text) {
    for (const PortUse& use : daemon.engine().ports(now())) text += line(port_json(use));
    return false;
  });
}

}  // namespace swnat::nfq
