#include "nfq/added_rules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "nfq/protocol_name.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t limited_forwards_max = 4096;  // of an engine

using ExternalKey = std::pair<std::uint8_t, std::string>;

ExternalKey external_key(const ForwardRule& rule) {
  return {rule.protocol, to_text(rule.external)};
}

std::string ports_of(const rules::LoneDrop& drop) {
  const PortRange all{1, 65535};
  if (drop.ports == all) return "";
  return drop.ports.first == drop.ports.last
             ? fmt::format(" port {}", drop.ports.first)
             : fmt::format(" ports {}-{}", drop.ports.first, drop.ports.last);
}

template <class Rule>
const Rule* find_one_like(const std::vector<Rule>& all, const Rule& wanted) {
  const auto found =
      std::ranges::find_if(all, [&](const Rule& one) { return one.is_like(wanted); });
  return found == all.end() ? nullptr : &*found;
}

template <class Rule>
Rule& put_among(std::vector<Rule>& all, Rule one) {
  const auto same =
      std::ranges::find_if(all, [&](const Rule& other) { return other.is_like(one); });
  if (same == all.end()) return all.emplace_back(std::move(one));
  return *same = std::move(one);
}

// Removes those with a reason to go; a line for each.
template <class Rule>
std::vector<std::string> remove_with_reasons(std::vector<Rule>& all,
                                             const std::map<std::size_t, std::string>& reasons) {
  std::vector<std::string> lines;
  std::vector<Rule> kept;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (const auto reason = reasons.find(i); reason != reasons.end()) {
      lines.push_back(fmt::format("{} is dropped: {}", title(all[i]), reason->second));
    } else {
      kept.push_back(std::move(all[i]));
    }
  }
  all = std::move(kept);
  return lines;
}

// Of rules that are members of these; the first fault of each.
template <class Added, class Lone>
std::map<std::size_t, std::string> reasons_to_go(const rules::Config& config,
                                                 std::vector<Added>& all, Lone Added::*lone) {
  std::vector<Lone> alone;
  for (const Added& one : all) alone.push_back(one.*lone);
  std::map<std::size_t, std::string> reasons;
  for (rules::LoneFault& fault : rules::fit_to(config, std::span(alone))) {
    reasons.emplace(fault.place, std::move(fault.what));
  }
  for (std::size_t i = 0; i < all.size(); ++i) all[i].*lone = std::move(alone[i]);
  return reasons;
}

}  // namespace

std::string title(const AddedForward& one) {
  const ForwardRule& rule = one.forward.rule;
  return fmt::format("forward {} {} to {} of {} (added by {})", protocol_name(rule.protocol),
                     to_text(rule.external), to_text(rule.to), one.forward.namespace_name,
                     one.terms.owner);
}

std::string title(const AddedDrop& one) {
  return fmt::format("drop {}: {}{} of {} (added by {})", one.number,
                     protocol_name(one.drop.protocol), ports_of(one.drop),
                     one.drop.namespace_name.value_or("all namespaces"), one.terms.owner);
}

const AddedForward* AddedRules::find_like(const AddedForward& wanted) const {
  return find_one_like(forwards_, wanted);
}

const AddedDrop* AddedRules::find_like(const AddedDrop& wanted) const {
  return find_one_like(drops_, wanted);
}

const AddedForward* AddedRules::find(std::uint8_t protocol, const IpEndpoint& external) const {
  const auto found = std::ranges::find_if(forwards_, [&](const AddedForward& one) {
    return one.forward.rule.protocol == protocol && one.forward.rule.external == external;
  });
  return found == forwards_.end() ? nullptr : &*found;
}

const AddedForward& AddedRules::put(AddedForward one) {
  return put_among(forwards_, std::move(one));
}

const AddedDrop& AddedRules::put(AddedDrop one) {
  const AddedDrop* const same = find_like(one);
  one.number = same != nullptr ? same->number : ++last_number_;
  return put_among(drops_, std::move(one));
}

std::size_t AddedRules::remove_over(Time now) {
  const auto is_over = [now](const auto& one) { return one.terms.is_over(now); };
  return remove_forwards(is_over) + remove_drops(is_over);
}

std::optional<Time> AddedRules::next_end() const {
  std::optional<Time> first;
  const auto note = [&](const auto& one) {
    if (one.terms.ends && (!first || *one.terms.ends < *first)) first = one.terms.ends;
  };
  std::ranges::for_each(forwards_, note);
  std::ranges::for_each(drops_, note);
  return first;
}

std::vector<std::string> AddedRules::fit_to(const rules::Config& config) {
  auto reasons = reasons_to_go(config, forwards_, &AddedForward::forward);
  std::set<ExternalKey> taken;
  std::size_t limited = 0;
  for (const ForwardRule& rule : config.policy.forwards) {
    taken.insert(external_key(rule));
    if (rule.session_limit != 0) ++limited;
  }
  for (std::size_t i = 0; i < forwards_.size(); ++i) {
    const ForwardRule& rule = forwards_[i].forward.rule;
    if (taken.contains(external_key(rule))) {
      reasons.emplace(i, "the file has a [[forward]] with this external endpoint");
    } else if (!config.policy.ports.contains(rule.external.port)) {
      reasons.emplace(
          i, fmt::format("its port is not among external.ports, {}", text_of(config.policy.ports)));
    } else if (rule.session_limit != 0 && ++limited > limited_forwards_max) {
      reasons.emplace(i, fmt::format("no more than {} forwards may have a session_limit",
                                     limited_forwards_max));
    }
  }
  std::vector<std::string> lines = remove_with_reasons(forwards_, reasons);
  std::ranges::move(remove_with_reasons(drops_, reasons_to_go(config, drops_, &AddedDrop::drop)),
                    std::back_inserter(lines));
  return lines;
}

void AddedRules::add_to(Policy& policy) const {
  for (const AddedForward& one : forwards_) policy.forwards.push_back(one.forward.rule);
  for (const AddedDrop& one : drops_) {
    policy.drops.insert(policy.drops.end(), one.drop.pieces.begin(), one.drop.pieces.end());
  }
}

bool AddedRules::add_the_same(const AddedRules& other) const {
  return std::ranges::equal(forwards_, other.forwards_,
                            [](const AddedForward& a, const AddedForward& b) {
                              return a.forward.rule == b.forward.rule;
                            }) &&
         std::ranges::equal(drops_, other.drops_, [](const AddedDrop& a, const AddedDrop& b) {
           return a.drop.pieces == b.drop.pieces;
         });
}

void AddedRules::restore(std::vector<AddedForward> forwards, std::vector<AddedDrop> drops) {
  forwards_ = std::move(forwards);
  drops_ = std::move(drops);
  for (const AddedDrop& one : drops_) last_number_ = std::max(last_number_, one.number);
}

bool has_forward(const rules::Config& config, std::uint8_t protocol, const IpEndpoint& external) {
  return std::ranges::any_of(config.policy.forwards, [&](const ForwardRule& rule) {
    return rule.protocol == protocol && rule.external == external;
  });
}

std::string text_of(const PortRanges& ports) {
  std::vector<std::string> texts;
  for (const PortRange& one : ports.ranges()) {
    texts.push_back(one.first == one.last ? fmt::format("{}", one.first)
                                          : fmt::format("{}-{}", one.first, one.last));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace swnat::nfq
