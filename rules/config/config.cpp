#include "rules/config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "rules/config/config_file.h"
#include "rules/config/draft_names.h"
#include "rules/config/draft_reader.h"
#include "rules/config/networks.h"
#include "rules/config/toml_shape.h"

namespace swnat::rules {
namespace {

AddressLists by_family(const std::vector<IpAddress>& addresses) {
  return {of_family<Ipv4Address>(addresses), of_family<Ipv6Address>(addresses)};
}

template <class T>
std::vector<T> values(const std::vector<Located<T>>& located) {
  std::vector<T> result;
  for (const auto& each : located) result.push_back(each.value);
  return result;
}

void order_by_fwmark(Config& config) {
  std::vector<std::uint32_t> places(config.namespaces.size());
  std::iota(places.begin(), places.end(), 0u);
  std::sort(places.begin(), places.end(), [&](auto a, auto b) {
    return config.namespaces[a].fwmark_first() < config.namespaces[b].fwmark_first();
  });
  for (const std::uint32_t place : places) {
    auto& kind =
        config.namespaces[place].is_range() ? config.ranges_by_fwmark : config.singles_by_fwmark;
    kind.push_back(place);
  }
}

// These are called only when no fault was found, so whatever must be there is.

NamespaceConfig to_config(const NamespaceDraft& draft) {
  NamespaceConfig config = draft.config;
  config.name = draft.name->value;
  const bool is_range = draft.fwmark->value.first != draft.fwmark->value.last;
  (is_range ? config.members : config.interfaces) = values(draft.interfaces);
  config.subnets = values(draft.subnets);
  config.routes = values(draft.routes);
  config.policy.first = draft.fwmark->value.first;
  config.policy.last = draft.fwmark->value.last;
  config.policy.external = by_family(values(draft.external));
  config.policy.untranslated = values(draft.untranslated);
  return config;
}

// A rule for a range is one for each piece of it.
void add_rules(const Draft& draft, Config& config) {
  const NamespaceNames names(draft);
  Policy& policy = config.policy;
  std::uint32_t number = 0;
  for (const DropDraft& each : draft.drops) {
    ++number;
    for (const NamespaceRange& namespaces : names.ranges(each.namespace_name)) {
      DropRule& rule = policy.drops.emplace_back(each.rule);
      rule.protocol = *each.protocol;
      rule.namespaces = namespaces;
      config.drop_numbers.push_back(number);
    }
  }
  number = 0;
  for (const RedirectDraft& each : draft.redirects) {
    ++number;
    for (const NamespaceRange& namespaces : names.ranges(each.namespace_name)) {
      policy.redirects.push_back({*each.protocol, each.from->value, each.to->value, namespaces});
      config.redirect_numbers.push_back(number);
    }
  }
  for (const ForwardDraft& each : draft.forwards) {
    ForwardRule& rule = policy.forwards.emplace_back(each.rule);
    rule.protocol = *each.protocol;
    rule.external = each.external->value;
    rule.namespace_id = names.ranges(each.namespace_name).front().first;
    rule.to = each.to->value;
  }
}

Config to_config(const Draft& draft) {
  Config config = draft.config;
  config.external_interface = draft.external_interface.value;
  config.external_addresses = values(draft.external_addresses);
  config.fwmark_mask = draft.fwmark_mask.value;
  for (const NamespaceDraft& each : draft.namespaces) config.namespaces.push_back(to_config(each));
  order_by_fwmark(config);
  add_rules(draft, config);
  return config;
}

}  // namespace

std::vector<IpNetwork> NamespaceConfig::networks() const {
  std::vector<IpNetwork> all = subnets;
  for (const Route& route : routes) all.push_back(route.to);
  return all;
}

std::string ConfigError::text() const {
  return line == 0 ? fmt::format("{}: {}", file, message)
                   : fmt::format("{}:{}: {}", file, line, message);
}

LoadResult load_config(const std::string& file) {
  const FileText read = read_config_file(file);
  if (!read.error.empty()) return {std::nullopt, {{file, 0, read.error}}};
  if (const auto fault = shape_fault(read.text)) {
    return {std::nullopt, {{file, fault->line, fault->message}}};
  }
  Faults faults(file);
  try {
    const toml::table table = toml::parse(read.text, file);
    const Draft draft = read_draft(table, faults);
    check_draft(draft, faults);
    if (faults.empty()) return {to_config(draft), {}};
  } catch (const toml::parse_error& syntax) {
    faults.add(syntax.source().begin.line, fmt::format("not TOML: {}", syntax.description()));
  }
  return {std::nullopt, std::move(faults).by_line()};
}

std::vector<NamespacePiece> namespace_pieces(const Config& config) {
  std::vector<std::uint32_t> singles;
  for (const NamespaceConfig& each : config.namespaces) {
    if (!each.is_range()) singles.push_back(each.fwmark_first());
  }
  std::ranges::sort(singles);
  std::vector<NamespacePiece> pieces;
  for (const NamespaceConfig& each : config.namespaces) {
    const NamespaceRange whole{each.fwmark_first(), each.fwmark_last()};
    const auto parts = each.is_range() ? without(whole, singles) : std::vector{whole};
    for (const NamespaceRange& part : parts) pieces.push_back({part.first, part.last, &each});
  }
  std::ranges::sort(pieces, {}, &NamespacePiece::first);
  return pieces;
}

Policy make_policy(const Config& config) {
  Policy policy = config.policy;
  policy.external = by_family(config.external_addresses);
  for (const NamespacePiece& each : namespace_pieces(config)) {
    NamespacePolicy& piece = policy.namespaces.emplace_back(each.config->policy);
    piece.first = each.first;
    piece.last = each.last;
    piece.inside = each.config->networks();
  }
  return policy;
}

const NamespaceConfig* find_namespace(const Config& config, NamespaceId id) {
  const auto with_id = [&](const std::vector<std::uint32_t>& places) -> const NamespaceConfig* {
    const auto after = std::upper_bound(places.begin(), places.end(), id,
                                        [&](NamespaceId wanted, std::uint32_t place) {
                                          return wanted < config.namespaces[place].fwmark_first();
                                        });
    if (after == places.begin()) return nullptr;
    const NamespaceConfig& found = config.namespaces[*std::prev(after)];
    return id <= found.fwmark_last() ? &found : nullptr;
  };
  if (const NamespaceConfig* single = with_id(config.singles_by_fwmark)) return single;
  return with_id(config.ranges_by_fwmark);
}

std::string namespace_name(const Config& config, NamespaceId id) {
  const NamespaceConfig* found = find_namespace(config, id);
  if (found == nullptr) return "";
  return found->is_range() ? fmt::format("{}-{}", found->name, id) : found->name;
}

}  // namespace swnat::rules
