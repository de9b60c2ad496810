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

std::vector<IpNetwork> networks_of(const NamespaceConfig& config) {
  std::vector<IpNetwork> networks = config.subnets;
  for (const Route& route : config.routes) networks.push_back(route.to);
  return networks;
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
    return config.namespaces[a].fwmark_first < config.namespaces[b].fwmark_first;
  });
  for (const std::uint32_t place : places) {
    auto& kind =
        config.namespaces[place].is_range() ? config.ranges_by_fwmark : config.singles_by_fwmark;
    kind.push_back(place);
  }
}

// Called only when no fault was found, so whatever must be there is.
Config to_config(Draft draft) {
  Config config = std::move(draft.config);
  const NamespaceNames names(draft);
  config.external_interface = draft.external_interface.value;
  config.external_addresses = values(draft.external_addresses);
  config.fwmark_mask = draft.fwmark_mask.value;
  for (const NamespaceDraft& each : draft.namespaces) {
    NamespaceConfig result;
    result.name = each.name->value;
    result.fwmark_first = each.fwmark->value.first;
    result.fwmark_last = each.fwmark->value.last;
    result.interfaces = values(each.interfaces);
    result.subnets = values(each.subnets);
    result.routes = values(each.routes);
    result.session_limit = each.session_limit ? each.session_limit->value : config.session_limit;
    result.port_limit = each.port_limit ? each.port_limit->value : config.port_limit;
    result.port_block = each.port_block ? each.port_block->value : config.port_block;
    result.external = values(each.external);
    result.untranslated = values(each.untranslated);
    config.namespaces.push_back(std::move(result));
  }
  order_by_fwmark(config);
  for (const DropDraft& each : draft.drops) {
    for (const NamespaceRange& namespaces : names.ranges(each.namespace_name)) {
      config.drops.push_back({*each.protocol, each.ports, namespaces});
    }
  }
  for (const RedirectDraft& each : draft.redirects) {
    for (const NamespaceRange& namespaces : names.ranges(each.namespace_name)) {
      config.redirects.push_back({*each.protocol, each.from->value, each.to->value, namespaces});
    }
  }
  for (const ForwardDraft& each : draft.forwards) {
    config.forwards.push_back({*each.protocol, each.external->value,
                               names.ranges(each.namespace_name).front().first, each.to->value,
                               each.session_limit ? each.session_limit->value : 0});
  }
  return config;
}

}  // namespace

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
    Draft draft = read_draft(table, faults);
    check_draft(draft, faults);
    if (faults.empty()) return {to_config(std::move(draft)), {}};
  } catch (const toml::parse_error& syntax) {
    faults.add(syntax.source().begin.line, fmt::format("not TOML: {}", syntax.description()));
  }
  return {std::nullopt, std::move(faults).by_line()};
}

std::vector<NamespacePiece> namespace_pieces(const Config& config) {
  std::vector<std::uint32_t> singles;
  for (const NamespaceConfig& each : config.namespaces) {
    if (!each.is_range()) singles.push_back(each.fwmark_first);
  }
  std::ranges::sort(singles);
  std::vector<NamespacePiece> pieces;
  for (const NamespaceConfig& each : config.namespaces) {
    const NamespaceRange whole{each.fwmark_first, each.fwmark_last};
    const auto parts = each.is_range() ? without(whole, singles) : std::vector{whole};
    for (const NamespaceRange& part : parts) pieces.push_back({part.first, part.last, &each});
  }
  std::ranges::sort(pieces, {}, &NamespacePiece::first);
  return pieces;
}

Policy make_policy(const Config& config) {
  Policy policy;
  policy.external = by_family(config.external_addresses);
  policy.ports = config.ports;
  policy.mapping = config.mapping;
  policy.filtering = config.filtering;
  policy.at_limit = config.at_limit;
  policy.hairpin = config.hairpin;
  policy.timeouts = config.timeouts;
  for (const NamespacePiece& each : namespace_pieces(config)) {
    policy.namespaces.push_back({.first = each.first,
                                 .last = each.last,
                                 .session_limit = each.config->session_limit,
                                 .port_limit = each.config->port_limit,
                                 .port_block = each.config->port_block,
                                 .external = by_family(each.config->external),
                                 .inside = networks_of(*each.config),
                                 .untranslated = each.config->untranslated});
  }
  policy.drops = config.drops;
  policy.redirects = config.redirects;
  policy.forwards = config.forwards;
  return policy;
}

std::string namespace_name(const Config& config, NamespaceId id) {
  const auto with_id = [&](const std::vector<std::uint32_t>& places) -> const NamespaceConfig* {
    const auto after = std::upper_bound(places.begin(), places.end(), id,
                                        [&](NamespaceId wanted, std::uint32_t place) {
                                          return wanted < config.namespaces[place].fwmark_first;
                                        });
    if (after == places.begin()) return nullptr;
    const NamespaceConfig& found = config.namespaces[*std::prev(after)];
    return id <= found.fwmark_last ? &found : nullptr;
  };
  if (const NamespaceConfig* single = with_id(config.singles_by_fwmark)) return single->name;
  const NamespaceConfig* range = with_id(config.ranges_by_fwmark);
  return range == nullptr ? "" : fmt::format("{}-{}", range->name, id);
}

}  // namespace swnat::rules
