// Contradictions of [[drop]], [[redirect]] and [[forward]], with each other and with the rest.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "rules/config/draft_names.h"
#include "rules/config/networks.h"
#include "rules/text/suggestion.h"

namespace swnat::rules {
namespace {

// What a rule looks for: the protocol and the destination.
using Match = std::pair<std::uint8_t, std::string>;

void check_namespace(const NamespaceNames& names, std::string_view rule,
                     const NamespaceChoice& choice, Faults& faults) {
  if (!choice || names.find(choice->value) != nullptr) return;
  faults.add(
      choice->line,
      fmt::format("{} namespace: \"{}\" is no [[namespace]]{} (allowed: the name of one, or of "
                  "one in a range, like \"vpn-1000\")",
                  rule, choice->value, did_you_mean(choice->value, names.all(), '"')));
}

bool is_external(const Draft& draft, const IpAddress& address) {
  return std::any_of(draft.external_addresses.begin(), draft.external_addresses.end(),
                     [&](const auto& external) { return external.value == address; });
}

void refuse_external(const Draft& draft, std::string_view key,
                     const std::optional<Located<IpEndpoint>>& end, std::string_view instead,
                     Faults& faults) {
  if (!end || !is_external(draft, end->value.address)) return;
  faults.add(end->line, fmt::format("{}: {} is an external address; {}", key,
                                    to_text(end->value.address), instead));
}

void check_same_family(std::string_view rule, std::string_view key, const Located<IpEndpoint>& a,
                       const Located<IpEndpoint>& b, Faults& faults) {
  if (is_ipv6(a.value.address) == is_ipv6(b.value.address)) return;
  faults.add(a.line, fmt::format("{} {}: {} and {} are not of the same family", rule, key,
                                 to_text(a.value), to_text(b.value)));
}

void check_redirect_ends(const Draft& draft, const RedirectDraft& each, Faults& faults) {
  refuse_external(draft, "[[redirect]] from", each.from, "what is sent to it is for [[forward]]",
                  faults);
  refuse_external(draft, "[[redirect]] to", each.to, "name the endpoint behind it", faults);
  if (!each.from || !each.to) return;
  check_same_family("[[redirect]]", "to", *each.to, *each.from, faults);
  if (each.from->value == each.to->value) {
    faults.add(each.to->line, fmt::format("[[redirect]] to: {} is where packets go anyway",
                                          to_text(each.to->value)));
  }
}

// Both are sorted.
bool any_shared(const std::vector<NamespaceRange>& some,
                const std::vector<NamespaceRange>& others) {
  auto one = some.begin();
  auto other = others.begin();
  while (one != some.end() && other != others.end()) {
    if (one->first <= other->last && other->first <= one->last) return true;
    one->last < other->last ? static_cast<void>(++one) : static_cast<void>(++other);
  }
  return false;
}

// A rule for a range is one for each piece of it.
void check_count(const Draft& draft, const NamespaceNames& names, Faults& faults) {
  constexpr std::size_t most = 65'536;
  std::size_t count = 0;
  const auto add = [&](std::string_view rule, const NamespaceChoice& choice) {
    if (!choice || count > most) return;
    count += names.ranges(choice).size();
    if (count <= most) return;
    faults.add(choice->line,
               fmt::format("{} namespace: \"{}\" has so many members with a [[namespace]] of their "
                           "own that there are more than {} rules",
                           rule, choice->value, most));
  };
  for (const DropDraft& each : draft.drops) add("[[drop]]", each.namespace_name);
  for (const RedirectDraft& each : draft.redirects) add("[[redirect]]", each.namespace_name);
}

void check_redirects(const Draft& draft, const NamespaceNames& names, Faults& faults) {
  struct Earlier {
    std::vector<NamespaceRange> namespaces;
    std::uint32_t line;
  };
  std::map<Match, std::vector<Earlier>> seen;
  for (const RedirectDraft& each : draft.redirects) {
    check_namespace(names, "[[redirect]]", each.namespace_name, faults);
    check_redirect_ends(draft, each, faults);
    const auto namespaces = names.ranges(each.namespace_name);
    if (!each.protocol || !each.from || namespaces.empty()) continue;
    std::vector<Earlier>& same = seen[{*each.protocol, to_text(each.from->value)}];
    const auto earlier = std::find_if(same.begin(), same.end(), [&](const Earlier& other) {
      return any_shared(other.namespaces, namespaces);
    });
    if (earlier != same.end()) {
      faults.add(each.from->line,
                 fmt::format("[[redirect]] from: {} is redirected in line {} already, for the same "
                             "namespaces or some of them",
                             to_text(each.from->value), earlier->line));
    }
    same.push_back({namespaces, each.from->line});
  }
}

void check_forward_namespace(const NamespaceNames& names, const ForwardDraft& each,
                             Faults& faults) {
  check_namespace(names, "[[forward]]", each.namespace_name, faults);
  if (!each.namespace_name) return;
  const std::string& name = each.namespace_name->value;
  const NamespaceDraft* found = names.find(name);
  if (found == nullptr) return;
  if (is_range(*found) && found->name->value == name) {
    faults.add(each.namespace_name->line,
               fmt::format("[[forward]] namespace: \"{0}\" is a range of namespaces; name one of "
                           "them, like \"{0}-{1}\"",
                           name, found->fwmark->value.first));
  }
  if (!each.to || found->subnets.empty()) return;
  const auto holds = [&](const IpNetwork& network) {
    return contains(network, each.to->value.address);
  };
  if (std::any_of(found->subnets.begin(), found->subnets.end(),
                  [&](const auto& subnet) { return holds(subnet.value); }) ||
      std::any_of(found->routes.begin(), found->routes.end(),
                  [&](const auto& route) { return holds(route.value.to); })) {
    return;
  }
  faults.add(each.to->line,
             fmt::format("[[forward]] to: {} lies in none of namespace \"{}\"'s subnets and routes",
                         to_text(each.to->value.address), name));
}

void check_forwards(const Draft& draft, const NamespaceNames& names, Faults& faults) {
  std::map<Match, std::uint32_t> seen;
  for (const ForwardDraft& each : draft.forwards) {
    check_forward_namespace(names, each, faults);
    refuse_external(draft, "[[forward]] to", each.to, "name the endpoint behind it", faults);
    if (!each.external) continue;
    const IpEndpoint& external = each.external->value;
    if (!is_external(draft, external.address)) {
      faults.add(each.external->line,
                 fmt::format("[[forward]] external: {} is not among [external] addresses",
                             to_text(external.address)));
    }
    if (each.to) check_same_family("[[forward]]", "to", *each.to, *each.external, faults);
    if (!each.protocol) continue;
    const auto [earlier, is_new] =
        seen.emplace(Match{*each.protocol, to_text(external)}, each.external->line);
    if (!is_new) {
      faults.add(each.external->line,
                 fmt::format("[[forward]] external: {} is forwarded in line {} already",
                             to_text(external), earlier->second));
    }
  }
}

}  // namespace

void check_rules(const Draft& draft, Faults& faults) {
  const NamespaceNames names(draft);
  for (const DropDraft& each : draft.drops) {
    check_namespace(names, "[[drop]]", each.namespace_name, faults);
  }
  check_count(draft, names, faults);
  check_redirects(draft, names, faults);
  check_forwards(draft, names, faults);
}

}  // namespace swnat::rules
