#include "rules/kernel/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "rules/config/networks.h"
#include "rules/kernel/kernel.h"
#include "rules/text/lines.h"

namespace swnat::rules {
namespace {

std::string text_of(const auto& each, std::string_view kind) {
  return fmt::format("ip {} {} {}", ip_option(each.family), kind, to_text(each));
}

// Sorted, so that many are compared in little time.
template <class T>
std::vector<std::string> texts_of(const std::vector<T>& all, std::string_view kind) {
  std::vector<std::string> texts;
  for (const T& each : all) texts.push_back(text_of(each, kind));
  std::sort(texts.begin(), texts.end());
  return texts;
}

std::vector<std::string> differences(const std::vector<std::string>& wanted,
                                     const std::vector<std::string>& present) {
  std::vector<std::string> gone;
  std::set_difference(wanted.begin(), wanted.end(), present.begin(), present.end(),
                      std::back_inserter(gone));
  std::vector<std::string> added;
  std::set_difference(present.begin(), present.end(), wanted.begin(), wanted.end(),
                      std::back_inserter(added));
  std::vector<std::string> lines;
  for (const std::string& each : gone) lines.push_back(each + " is gone");
  for (const std::string& each : added) lines.push_back(each + " was added");
  return lines;
}

bool has_any(const RuleListing& rules, const PolicyRouting& routing) {
  return !rules.nft.empty() || !rules.iptables.empty() || !routing.rules.empty() ||
         !routing.routes.empty();
}

// Why what the record says is not this configuration's; empty if it is.
std::string other_configuration(const Stock& stock, const Config& config,
                                const std::string& digest) {
  if (stock.configuration == digest) return "";
  if (stock.first_queue != config.first_queue || stock.workers != config.workers) {
    return fmt::format("up was run with another configuration (queues {}, the daemon reads {})",
                       queues_text(stock.first_queue, stock.workers),
                       queues_text(config.first_queue, config.workers));
  }
  return fmt::format(
      "up was run with another configuration; apply this one: swnat-nfq up --config {}",
      config.file);
}

// What members may have, but need not, is no difference.
void add_members(const MemberView& members, PolicyRouting& wanted, PolicyRouting& present) {
  wanted.routes.insert(wanted.routes.end(), members.routes.begin(), members.routes.end());
  std::set<FwmarkRoute> optional(members.perhaps.begin(), members.perhaps.end());
  // Those of interfaces that came too late for us to know their names.
  for (const FwmarkRoute& each : members.perhaps) {
    optional.insert({each.family, each.table, each.to, each.via, unknown_interface});
  }
  for (const FwmarkRoute& each : members.routes) optional.erase(each);
  std::erase_if(present.routes, [&](const auto& each) { return optional.contains(each); });
}

Inspection inspect_recorded(const Record& record, const Config& config, const std::string& digest,
                            const Interfaces& interfaces, const RuleListing& present,
                            const MemberLook& look) {
  Inspection seen;
  seen.has_record = true;
  PolicyRouting routing = current_policy_routing(interfaces);
  Differences found = differences(record, present, std::move(routing), interfaces, look.view());
  seen.is_repairable = found.any();
  append_shortened(seen.differences, std::move(found.nft), "parts of nft table inet swnat differ");
  append_shortened(seen.differences, std::move(found.iptables), "parts of iptables differ");
  append_shortened(seen.differences, std::move(found.sysctls), "sysctls differ");
  append_shortened(seen.differences, std::move(found.rules), "ip rules differ");
  append_shortened(seen.differences, std::move(found.routes), "routes differ");
  if (std::string other = other_configuration(*record.stock, config, digest); !other.empty()) {
    seen.differences.push_back(std::move(other));
  }
  seen.state = seen.differences.empty() ? RuleState::as_configured : RuleState::differ;
  return seen;
}

Inspection inspect_unrecorded(bool has_record, const RuleListing& present,
                              const Interfaces& interfaces) {
  Inspection seen;
  seen.has_record = has_record;
  const bool is_there = has_any(present, current_policy_routing(interfaces));
  if (!has_record && !is_there) return seen;
  seen.state = RuleState::differ;
  seen.differences.emplace_back(
      has_record ? "up was not completed; run it again"
                 : "rules of swnat are there without a record of up; run it again");
  return seen;
}

}  // namespace

Inspector::Inspector(std::shared_ptr<const Config> config)
    : config_(std::move(config)), digest_(configuration_digest(*config_)) {}

std::optional<Inspection> Inspector::inspect(std::optional<std::uint32_t> generation) {
  const auto folder = RecordFolder::try_to_lock(config_->control_socket);
  if (!folder) return std::nullopt;
  const std::optional<Record> record = folder->find();
  const Interfaces interfaces = current_interfaces();
  lister_.begin(generation);
  Inspection seen;
  if (record && record->layout && record->stock) {
    const MemberLook look(record->layout->members, config_->control_socket);
    const RuleListing present = lister_.list(!record->stock->rules.iptables.empty());
    seen = inspect_recorded(*record, *config_, digest_, interfaces, present, look);
  } else {
    seen = inspect_unrecorded(record.has_value(), lister_.list(false), interfaces);
  }
  seen.notes = interface_notes(*config_, interfaces, current_addresses());
  return seen;
}

std::string queues_text(std::uint32_t first, std::uint32_t count) {
  return count == 1 ? std::to_string(first) : fmt::format("{}-{}", first, first + count - 1);
}

std::vector<std::string> differences(const Listing& recorded, const Listing& present) {
  std::vector<std::string> lines;
  for (const auto& [name, text] : recorded) {
    const auto found = present.find(name);
    if (found == present.end()) {
      lines.push_back(name + " is gone");
    } else if (found->second != text) {
      lines.push_back(name + " was changed");
    }
  }
  for (const auto& each : present) {
    if (!recorded.contains(each.first)) lines.push_back(each.first + " was added");
  }
  return lines;
}

void add_differences(const PolicyRouting& wanted, const PolicyRouting& present,
                     Differences& found) {
  found.rules = differences(texts_of(wanted.rules, "rule"), texts_of(present.rules, "rule"));
  found.routes = differences(texts_of(wanted.routes, "route"), texts_of(present.routes, "route"));
}

PolicyRouting possible(const PolicyRouting& wanted, const Interfaces& interfaces) {
  PolicyRouting some = wanted;
  std::erase_if(some.routes, [&](const auto& route) {
    return !route.interface.empty() && !interfaces.has_up(route.interface);
  });
  return some;
}

Differences differences(const Record& record, const RuleListing& present, PolicyRouting routing,
                        const Interfaces& interfaces, const MemberView& members) {
  Differences found;
  const Stock& stock = *record.stock;
  if (present.nft.empty() && !stock.rules.nft.empty()) {
    found.nft.emplace_back("nft table inet swnat is gone");
  } else {
    found.nft = differences(stock.rules.nft, present.nft);
  }
  found.iptables = differences(stock.rules.iptables, present.iptables);
  if (members.do_sets_differ) {
    found.nft.emplace_back("sets of members of nft table inet swnat were changed");
  }
  PolicyRouting wanted = possible(record.layout->routing, interfaces);
  add_members(members, wanted, routing);
  add_differences(wanted, routing, found);
  found.sysctls = sysctl_differences(stock.sysctls);
  return found;
}

std::vector<std::string> interface_notes(const Config& config, const Interfaces& interfaces,
                                         const std::set<std::string>& addresses) {
  std::vector<std::string> waiting;
  if (!interfaces.has_up(config.external_interface)) {
    waiting.push_back(fmt::format("the external interface {} is {}", config.external_interface,
                                  interfaces.has(config.external_interface) ? "down" : "not here"));
  }
  for (const NamespaceConfig& each : config.namespaces) {
    for (const std::string& interface : each.interfaces) {
      if (interfaces.has_up(interface)) continue;
      waiting.push_back(fmt::format("namespace {} waits for interface {}{}", each.name, interface,
                                    interfaces.has(interface) ? ", which is down" : ""));
    }
  }
  std::vector<std::string> routed;
  for (const IpAddress& address : config.external_addresses) {
    if (addresses.contains(to_text(address))) continue;
    routed.push_back(fmt::format("external address {} is on no interface here", to_text(address)));
  }
  std::vector<std::string> notes;
  append_shortened(notes, std::move(waiting), "interfaces are waited for");
  append_shortened(notes, std::move(routed), "external addresses are on no interface");
  return notes;
}

}  // namespace swnat::rules
