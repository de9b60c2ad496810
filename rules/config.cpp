#include "rules/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "rules/address_text.h"
#include "rules/draft_names.h"
#include "rules/draft_reader.h"

namespace swnat::rules {
namespace {

std::optional<std::string> read_file(const std::string& file, std::string& error) {
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  if (stream.is_open()) text << stream.rdbuf();
  // An empty file sets the fail bit too, but no error number.
  if (stream.is_open() && !text.bad() && (text.good() || errno == 0)) return text.str();
  error = std::strerror(errno != 0 ? errno : EIO);
  return std::nullopt;
}

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
    result.external = values(each.external);
    result.untranslated = values(each.untranslated);
    config.namespaces.push_back(std::move(result));
  }
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
                               names.ranges(each.namespace_name).front().first, each.to->value});
  }
  return config;
}

}  // namespace

std::string ConfigError::text() const {
  return line == 0 ? fmt::format("{}: {}", file, message)
                   : fmt::format("{}:{}: {}", file, line, message);
}

LoadResult load_config(const std::string& file) {
  std::string error;
  const auto text = read_file(file, error);
  if (!text) return {std::nullopt, {{file, 0, fmt::format("cannot be read: {}", error)}}};
  Faults faults(file);
  try {
    const toml::table table = toml::parse(*text, file);
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
  const NamespaceConfig* range = nullptr;
  for (const NamespaceConfig& each : config.namespaces) {
    if (id < each.fwmark_first || id > each.fwmark_last) continue;
    if (!each.is_range()) return each.name;
    range = &each;
  }
  return range == nullptr ? "" : fmt::format("{}-{}", range->name, id);
}

}  // namespace swnat::rules
