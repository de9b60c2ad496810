// Contradictions between values of the configuration.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "rules/config/draft_names.h"
#include "rules/config/fwmark_table.h"
#include "rules/config/network_order.h"
#include "rules/config/networks.h"
#include "swnat/limits.h"

namespace swnat::rules {
namespace {

std::string fwmark_text(const NamespaceRange& range) {
  return range.first == range.last ? fmt::format("{}", range.first)
                                   : fmt::format("{}-{}", range.first, range.last);
}

void check_external_addresses(const Draft& draft, Faults& faults) {
  const auto& addresses = draft.external_addresses;
  std::set<NetworkKey> seen;
  for (const auto& address : addresses) {
    if (seen.insert(key_of(network_of(address.value))).second) continue;
    faults.add(address.line,
               fmt::format("[external] addresses: {} is there twice", to_text(address.value)));
  }
  for (const bool ipv6 : {false, true}) {
    std::size_t count = 0;
    for (const auto& address : addresses) {
      if (is_ipv6(address.value) != ipv6 || ++count != external_addresses_max + 1) continue;
      faults.add(address.line, fmt::format("[external] addresses: at most {} of IPv{} fit",
                                           external_addresses_max, ipv6 ? 6 : 4));
    }
  }
}

void check_queues(const Draft& draft, Faults& faults) {
  const std::uint32_t end = std::uint32_t{draft.config.first_queue} + draft.config.workers;
  if (end <= 0x10000) return;
  faults.add(
      draft.queue_line,
      fmt::format("[queue] first: {} workers from queue {} on go beyond the last queue, 65535",
                  draft.config.workers, draft.config.first_queue));
}

// Each worker has ports of both parities in every block.
void check_port_blocks(const Draft& draft, Faults& faults) {
  const std::uint32_t least = 2u * draft.config.workers;
  const auto check = [&](std::string_view where, std::uint32_t block,
                         std::optional<std::uint32_t> line) {
    if (!line || block == 0 || block >= least) return;
    faults.add(*line, fmt::format("{} port_block: with {} workers it must be at least {}, not {}",
                                  where, draft.config.workers, least, block));
  };
  check("[nat]", draft.limits.port_block, draft.port_block_line);
  for (const NamespaceDraft& each : draft.namespaces) {
    check("[[namespace]]", each.config.policy.port_block, each.port_block_line);
  }
}

void check_names(const Draft& draft, Faults& faults) {
  std::map<std::string_view, std::uint32_t> seen;
  for (const NamespaceDraft& each : draft.namespaces) {
    if (!each.name) continue;
    const auto [earlier, is_new] = seen.emplace(each.name->value, each.name->line);
    if (!is_new) {
      faults.add(each.name->line,
                 fmt::format("[[namespace]] name: \"{}\" is taken by line {}; names must differ",
                             each.name->value, earlier->second));
    }
  }
  const NamespaceNames names(draft);
  for (const NamespaceDraft& single : draft.namespaces) {
    if (!single.name || is_range(single)) continue;
    const NamespaceDraft* range = names.range_with(single.name->value);
    if (range == nullptr) continue;
    // That very member may have its name.
    const auto fwmark = member_named(*range, single.name->value);
    if (single.fwmark && single.fwmark->value.first == *fwmark) continue;
    faults.add(
        single.name->line,
        fmt::format("[[namespace]] name: \"{}\" is what a namespace of the range \"{}\" (line {})"
                    " is called; names must differ",
                    single.name->value, range->name->value, range->name->line));
  }
}

void check_fwmark(const Draft& draft, const NamespaceDraft& each, Faults& faults) {
  const NamespaceRange range = each.fwmark->value;
  const std::uint32_t mask = draft.fwmark_mask.value;
  // In a range, a bit outside the mask is set somewhere unless all bits up to the highest that
  // changes are in it.
  const std::uint32_t varying =
      range.first == range.last ? 0
                                : ~std::uint32_t{0} >> std::countl_zero(range.first ^ range.last);
  if (((range.first | varying) & ~mask) != 0) {
    faults.add(each.fwmark->line,
               fmt::format("[[namespace]] fwmark: {} has bits outside fwmark_mask = {:#x}",
                           fwmark_text(range), mask));
    return;
  }
  if (!each.interfaces_line) return;
  if (is_range(each) && range.last > member_fwmark_max) {
    faults.add(each.fwmark->line,
               fmt::format("[[namespace]] fwmark: {} is too large for a conntrack zone of each"
                           " member (allowed for a range with interfaces: up to {})",
                           fwmark_text(range), member_fwmark_max));
    return;
  }
  if (!route_table(range.first, mask)) {
    faults.add(each.fwmark->line,
               fmt::format("[[namespace]] fwmark: {} is too large for a route table of its own"
                           " (allowed under this fwmark_mask: up to {})",
                           fwmark_text(range), largest_routed_fwmark(mask)));
  }
}

// Each fwmark that a member may get has rules and routes from the start.
void check_member_count(const Draft& draft, Faults& faults) {
  std::uint64_t count = 0;
  for (const NamespaceDraft& each : draft.namespaces) {
    if (!each.fwmark || !is_range(each) || !each.interfaces_line) continue;
    const std::uint64_t before = count;
    count += std::uint64_t{each.fwmark->value.last} - each.fwmark->value.first + 1;
    if (count <= members_max || before > members_max) continue;
    faults.add(each.fwmark->line,
               fmt::format("[[namespace]] fwmark: {} brings the fwmarks of ranges with interfaces"
                           " to {}; at most {} fit",
                           fwmark_text(each.fwmark->value), count, members_max));
  }
}

// Two ranges must not overlap, nor two namespaces have one fwmark.
void check_apart(std::vector<const NamespaceDraft*> some, Faults& faults) {
  std::stable_sort(some.begin(), some.end(), [](const auto* a, const auto* b) {
    return a->fwmark->value.first < b->fwmark->value.first;
  });
  const NamespaceDraft* reaching = nullptr;  // of those before, the one with the highest fwmark
  for (const NamespaceDraft* each : some) {
    if (reaching != nullptr && each->fwmark->value.first <= reaching->fwmark->value.last) {
      const bool in_order = each->fwmark->line > reaching->fwmark->line;
      const NamespaceDraft& later = in_order ? *each : *reaching;
      const NamespaceDraft& earlier = in_order ? *reaching : *each;
      faults.add(
          later.fwmark->line,
          fmt::format("[[namespace]] fwmark: {} overlaps {} of {} (line {}); each fwmark names"
                      " one namespace",
                      fwmark_text(later.fwmark->value), fwmark_text(earlier.fwmark->value),
                      title(earlier), earlier.fwmark->line));
    }
    if (reaching == nullptr || each->fwmark->value.last > reaching->fwmark->value.last) {
      reaching = each;
    }
  }
}

void check_fwmarks(const Draft& draft, const NamespaceNames& names, Faults& faults) {
  std::vector<const NamespaceDraft*> ranges;
  std::vector<const NamespaceDraft*> singles;
  std::uint64_t count = 0;
  for (const NamespaceDraft& each : draft.namespaces) {
    if (!each.fwmark) continue;
    check_fwmark(draft, each, faults);
    const NamespaceRange range = each.fwmark->value;
    const std::uint64_t before = count;
    (is_range(each) ? ranges : singles).push_back(&each);
    if (!is_range(each) && names.is_member(range.first)) continue;  // counted with its range
    count += std::uint64_t{range.last} - range.first + 1;
    if (count > namespaces_max && before <= namespaces_max) {
      faults.add(each.fwmark->line,
                 fmt::format("[[namespace]] fwmark: {} brings the namespaces to {}; at most {} fit",
                             fwmark_text(range), count, namespaces_max));
    }
  }
  check_member_count(draft, faults);
  check_apart(std::move(ranges), faults);
  check_apart(std::move(singles), faults);
}

// A tenant's interface, or with a * behind it the beginning of the names of members' interfaces.
struct InterfaceEntry {
  const NamespaceDraft* owner;
  const Located<std::string>* text;

  bool is_pattern() const { return text->value.ends_with('*'); }
  std::string_view beginning() const {
    return std::string_view(text->value).substr(0, text->value.size() - (is_pattern() ? 1 : 0));
  }
};

void refuse_external_interface(const Draft& draft, const InterfaceEntry& entry, Faults& faults) {
  const std::string_view external = draft.external_interface.value;
  const bool is_same = entry.text->value == external;
  if (!is_same &&
      (external.empty() || !entry.is_pattern() || !external.starts_with(entry.beginning()))) {
    return;
  }
  faults.add(entry.text->line,
             fmt::format("[[namespace]] interfaces: {} {} the external interface{} (line {}); a"
                         " tenant needs its own",
                         entry.text->value, is_same ? "is" : "matches",
                         is_same ? std::string() : fmt::format(" {}", external),
                         draft.external_interface.line));
}

void check_interfaces(const Draft& draft, Faults& faults) {
  std::multimap<std::string_view, InterfaceEntry> entries;
  for (const NamespaceDraft& each : draft.namespaces) {
    for (const auto& name : each.interfaces) {
      const InterfaceEntry entry{&each, &name};
      refuse_external_interface(draft, entry, faults);
      if (entry.is_pattern() && each.fwmark && !is_range(each)) {
        faults.add(name.line,
                   fmt::format("[[namespace]] interfaces: {} stands for many interfaces, and {} has"
                               " one fwmark; a range of fwmarks has one for each",
                               name.value, title(each)));
      }
      const auto same = entries.equal_range(entry.beginning());
      const auto earlier = std::find_if(same.first, same.second, [&](const auto& other) {
        return other.second.text->value == name.value;
      });
      if (earlier != same.second) {
        const InterfaceEntry& first = earlier->second;
        faults.add(name.line,
                   fmt::format("[[namespace]] interfaces: {} already belongs to {} (line {})",
                               name.value, title(*first.owner), first.text->line));
        continue;
      }
      entries.emplace(entry.beginning(), entry);
    }
  }
  for (const auto& [beginning, entry] : entries) {
    if (!entry.is_pattern()) continue;
    for (auto other = entries.lower_bound(beginning);
         other != entries.end() && other->first.starts_with(beginning); ++other) {
      const InterfaceEntry& matched = other->second;
      if (matched.text == entry.text) continue;
      faults.add(entry.text->line,
                 fmt::format("[[namespace]] interfaces: {} matches {} of {} (line {}) too",
                             entry.text->value, matched.text->value, title(*matched.owner),
                             matched.text->line));
      break;
    }
  }
}

void refuse_external_inside(const Draft& draft, const Located<IpNetwork>& subnet,
                            std::string_view key, Faults& faults) {
  for (const auto& address : draft.external_addresses) {
    if (!contains(subnet.value, address.value)) continue;
    faults.add(subnet.line, fmt::format("[[namespace]] {}: {} contains the external address {}",
                                        key, to_text(subnet.value), to_text(address.value)));
  }
}

// A list of networks of one namespace.
void check_networks(const Draft& draft, const std::vector<Located<IpNetwork>>& networks,
                    std::string_view key, Faults& faults) {
  std::vector<IpNetwork> values;
  for (const auto& each : networks) {
    refuse_external_inside(draft, each, key, faults);
    values.push_back(each.value);
  }
  for (const Overlap& each : overlaps(values)) {
    faults.add(networks[each.later].line,
               fmt::format("[[namespace]] {}: {} overlaps {} of the same namespace", key,
                           to_text(values[each.later]), to_text(values[each.earlier])));
  }
}

void check_routes(const Draft& draft, const NamespaceDraft& each, Faults& faults) {
  if (each.routes.empty()) return;
  std::vector<IpNetwork> subnets;
  for (const auto& subnet : each.subnets) subnets.push_back(subnet.value);
  std::set<NetworkKey> subnet_keys;
  for (const IpNetwork& subnet : subnets) subnet_keys.insert(key_of(subnet));
  DisjointNetworks<bool> reached;
  for (const IpNetwork& subnet : disjoint(std::move(subnets))) reached.insert(subnet, true);

  std::set<NetworkKey> seen;
  for (const auto& [route, line] : each.routes) {
    refuse_external_inside(draft, {route.to, line}, "routes", faults);
    const bool again = !seen.insert(key_of(route.to)).second;
    const bool is_subnet = subnet_keys.contains(key_of(route.to));
    if (again || is_subnet) {
      faults.add(line, fmt::format("[[namespace]] routes: {} is already {} of this namespace",
                                   to_text(route.to), is_subnet ? "a subnet" : "a route"));
    }
    // An address that is unique on its link only is one on this namespace's.
    if (!is_link_local(route.via) && reached.overlapping(network_of(route.via)) == nullptr) {
      faults.add(
          line, fmt::format("[[namespace]] routes: via {} lies in none of this namespace's subnets",
                            to_text(route.via)));
    }
  }
}

void check_externals(const Draft& draft, const NamespaceDraft& each, Faults& faults) {
  std::set<NetworkKey> seen;
  for (const auto& [address, line] : each.external) {
    const auto same = [&, &wanted = address](const auto& other) { return other.value == wanted; };
    if (std::none_of(draft.external_addresses.begin(), draft.external_addresses.end(), same)) {
      faults.add(line, fmt::format("[[namespace]] external: {} is not among [external] addresses",
                                   to_text(address)));
    }
    if (!seen.insert(key_of(network_of(address))).second) {
      faults.add(line, fmt::format("[[namespace]] external: {} is there twice", to_text(address)));
    }
  }
}

void require_subnets(const NamespaceDraft& each, Faults& faults) {
  if (!each.interfaces_line || each.subnets_line) return;
  faults.add(*each.interfaces_line,
             fmt::format("[[namespace]] interfaces: {} has interfaces but no subnets: every source"
                         " would be dropped",
                         title(each)));
}

void check_range_shape(const NamespaceDraft& each, Faults& faults) {
  require_subnets(each, faults);
  const std::string why =
      each.interfaces_line
          ? fmt::format(
                "{} is a range of namespaces, each of which has its own interface and"
                " nothing beyond",
                title(each))
          : fmt::format(
                "{} is a range of namespaces, which no route can tell apart; the operator's"
                " own rules set their fwmarks and routes",
                title(each));
  if (each.routes_line) faults.add(*each.routes_line, "[[namespace]] routes: " + why);
  if (each.untranslated.empty()) return;
  faults.add(each.untranslated.front().line, "[[namespace]] untranslated: " + why);
}

// Whoever is a member of a range may do without interfaces, as the range does.
void check_shape(const NamespaceDraft& each, bool is_member, Faults& faults) {
  if (is_range(each)) return check_range_shape(each, faults);
  require_subnets(each, faults);
  if (each.interfaces_line || !each.subnets_line) return;
  if (!is_member) {
    faults.add(
        *each.subnets_line,
        fmt::format("[[namespace]] subnets: {} has subnets but no interfaces to route them to",
                    title(each)));
  } else if (!each.untranslated.empty()) {
    faults.add(each.untranslated.front().line,
               fmt::format("[[namespace]] untranslated: {} has no interfaces that answers could be"
                           " routed to",
                           title(each)));
  }
}

}  // namespace

void check_draft(const Draft& draft, Faults& faults) {
  check_external_addresses(draft, faults);
  check_queues(draft, faults);
  check_port_blocks(draft, faults);
  check_names(draft, faults);
  const NamespaceNames names(draft);
  check_fwmarks(draft, names, faults);
  check_interfaces(draft, faults);
  for (const NamespaceDraft& each : draft.namespaces) {
    check_shape(each, each.fwmark && names.is_member(each.fwmark->value.first), faults);
    check_networks(draft, each.subnets, "subnets", faults);
    check_networks(draft, each.untranslated, "untranslated", faults);
    check_routes(draft, each, faults);
    check_externals(draft, each, faults);
  }
  check_untranslated(draft, faults);
  check_rules(draft, faults);
}

}  // namespace swnat::rules
