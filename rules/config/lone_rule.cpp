#include "rules/config/lone_rule.h"

#include <algorithm>
#include <functional>

#include "rules/config/draft.h"
#include "rules/config/draft_names.h"
#include "rules/config/rule_reader.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {
namespace {

toml::table to_toml(const RuleKeys& keys) {
  toml::table table;
  for (const auto& each : keys) {
    std::visit([&](const auto& value) { table.insert_or_assign(each.first, value); }, each.second);
  }
  return table;
}

// The lines of drafts are places here, so that faults tell which rule they are of.
std::uint32_t line_at(std::size_t place) {
  return static_cast<std::uint32_t>(place);
}

NamespaceDraft draft_of(const NamespaceConfig& config) {
  NamespaceDraft draft;
  draft.name = {config.name, 0};
  draft.fwmark = {NamespaceRange{config.fwmark_first(), config.fwmark_last()}, 0};
  for (const IpNetwork& each : config.subnets) draft.subnets.push_back({each, 0});
  for (const Route& each : config.routes) draft.routes.push_back({each, 0});
  return draft;
}

// With the namespaces that are meant.
Draft draft_of(const Config& config,
               const std::function<bool(const NamespaceConfig& one)>& is_meant) {
  Draft draft;
  for (const IpAddress& each : config.external_addresses) {
    draft.external_addresses.push_back({each, 0});
  }
  for (const NamespaceConfig& each : config.namespaces) {
    if (is_meant(each)) draft.namespaces.push_back(draft_of(each));
  }
  return draft;
}

// All that what the name means depends on: who has it, the range that it may be a member's of, and
// those in the range that are not the range's. To make a draft of each of thousands of namespaces
// would take long.
Draft draft_for(const Config& config, const std::optional<std::string>& wanted) {
  const std::string_view name = wanted ? *wanted : std::string_view();
  const std::string_view stem = name.substr(0, name.rfind('-'));
  std::vector<NamespaceRange> ranges;
  for (const NamespaceConfig& each : config.namespaces) {
    if (each.is_range() && (each.name == name || each.name == stem)) {
      ranges.push_back({each.fwmark_first(), each.fwmark_last()});
    }
  }
  return draft_of(config, [&](const NamespaceConfig& one) {
    return one.name == name || one.name == stem ||
           std::ranges::any_of(ranges, [&](const NamespaceRange& range) {
             return range.contains(one.fwmark_first());
           });
  });
}

Draft draft_of_all(const Config& config) {
  return draft_of(config, [](const NamespaceConfig&) { return true; });
}

NamespaceChoice choice_of(const std::optional<std::string>& name, std::size_t place) {
  return name ? NamespaceChoice({*name, line_at(place)}) : NamespaceChoice();
}

void add_to(Draft& draft, const LoneForward& one, std::size_t place) {
  ForwardDraft& added = draft.forwards.emplace_back();
  added.rule = one.rule;
  added.protocol = one.rule.protocol;
  added.external = {one.rule.external, line_at(place)};
  added.to = {one.rule.to, line_at(place)};
  added.namespace_name = choice_of(one.namespace_name, place);
}

void add_to(Draft& draft, const LoneDrop& one, std::size_t place) {
  DropDraft& added = draft.drops.emplace_back();
  added.rule.ports = one.ports;
  added.protocol = one.protocol;
  added.namespace_name = choice_of(one.namespace_name, place);
}

void place_in(const NamespaceNames& names, LoneForward& one) {
  one.rule.namespace_id = names.ranges(choice_of(one.namespace_name, 0)).front().first;
}

void place_in(const NamespaceNames& names, LoneDrop& one) {
  one.pieces.clear();
  for (const NamespaceRange& each : names.ranges(choice_of(one.namespace_name, 0))) {
    one.pieces.push_back({.protocol = one.protocol, .ports = one.ports, .namespaces = each});
  }
}

template <class Rule>
std::vector<LoneFault> fit(Draft draft, std::span<Rule> rules) {
  for (std::size_t i = 0; i < rules.size(); ++i) add_to(draft, rules[i], i);
  Faults faults("");
  check_rules(draft, faults);
  std::vector<LoneFault> told;
  std::vector<bool> is_faulty(rules.size());
  for (ConfigError& error : std::move(faults).by_line()) {
    is_faulty[error.line] = true;
    told.push_back({error.line, std::move(error.message)});
  }
  const NamespaceNames names(draft);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (!is_faulty[i]) place_in(names, rules[i]);
  }
  return told;
}

// Long lists are cut.
template <class Told>
void refuse_if_any(const std::vector<Told>& faults, std::string Told::*what) {
  constexpr std::size_t told_max = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(faults.size(), told_max); ++i) {
    text += (i == 0 ? "" : "\n") + faults[i].*what;
  }
  if (!text.empty()) throw RuleFault(text);
}

// What `read` makes of the table; throws for what is faulty by itself.
template <class Read>
auto read_lone(std::string where, const RuleKeys& keys, std::span<const std::string_view> others,
               Read read) {
  const toml::table table = to_toml(keys);
  Faults faults("");
  TableReader reader(table, std::move(where), 0, faults);
  auto draft = read(reader);
  for (const std::string_view each : others) reader.node(each);
  reader.refuse_others();
  refuse_if_any(std::move(faults).by_line(), &ConfigError::message);
  return draft;
}

template <class Rule>
Rule checked_beside(const Config& config, Rule rule) {
  refuse_if_any(fit(draft_for(config, rule.namespace_name), std::span(&rule, 1)), &LoneFault::what);
  return rule;
}

}  // namespace

LoneForward read_lone_forward(const RuleKeys& keys, const Config& config,
                              std::span<const std::string_view> others) {
  const ForwardDraft draft = read_lone("[[forward]]", keys, others, [&](TableReader& table) {
    return read_forward(table, config.max_sessions);
  });
  LoneForward forward{.namespace_name = draft.namespace_name->value, .rule = draft.rule};
  forward.rule.protocol = *draft.protocol;
  forward.rule.external = draft.external->value;
  forward.rule.to = draft.to->value;
  return checked_beside(config, std::move(forward));
}

LoneDrop read_lone_drop(const RuleKeys& keys, const Config& config,
                        std::span<const std::string_view> others) {
  const DropDraft draft = read_lone("[[drop]]", keys, others, read_drop);
  LoneDrop drop{.protocol = *draft.protocol, .ports = draft.rule.ports};
  assign(drop.namespace_name, draft.namespace_name);
  return checked_beside(config, std::move(drop));
}

std::vector<LoneFault> fit_to(const Config& config, std::span<LoneForward> rules) {
  return fit(draft_of_all(config), rules);
}

std::vector<LoneFault> fit_to(const Config& config, std::span<LoneDrop> rules) {
  return fit(draft_of_all(config), rules);
}

}  // namespace swnat::rules
