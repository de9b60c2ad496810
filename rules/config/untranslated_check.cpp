// Contradictions of the destinations that namespaces reach untranslated.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "rules/config/draft_names.h"
#include "rules/config/network_order.h"
#include "rules/config/networks.h"

namespace swnat::rules {
namespace {

using Networks = std::vector<IpNetwork>;

Networks sources(const NamespaceDraft& draft) {
  Networks all;
  for (const auto& subnet : draft.subnets) all.push_back(subnet.value);
  for (const auto& route : draft.routes) all.push_back(route.value.to);
  return disjoint(std::move(all));
}

// What a namespace reaches untranslated, in the file's order.
struct Reach {
  const NamespaceDraft* sender;
  const Located<IpNetwork>* to;
  std::shared_ptr<const Networks> sources;
};

std::vector<Reach> reaches(const Draft& draft) {
  std::vector<Reach> all;
  for (const NamespaceDraft& each : draft.namespaces) {
    if (each.untranslated.empty() || is_range(each)) continue;
    const auto sources_of_it = std::make_shared<const Networks>(sources(each));
    for (const auto& to : each.untranslated) all.push_back({&each, &to, sources_of_it});
  }
  return all;
}

void check_answers(const Reach& reach, Faults& faults) {
  const IpNetwork& to = reach.to->value;
  const bool has_source =
      std::any_of(reach.sources->begin(), reach.sources->end(),
                  [&](const IpNetwork& source) { return is_ipv6(source) == is_ipv6(to); });
  if (has_source) return;
  faults.add(reach.to->line,
             fmt::format("[[namespace]] untranslated: {} has no subnets of IPv{} that answers from "
                         "{} could be routed to",
                         title(*reach.sender), is_ipv6(to) ? 6 : 4, to_text(to)));
}

// Theory of operation
//
// Only the destination and the source of what they send would tell the answers to two namespaces
// apart: at least one of the two must not overlap. The destinations are visited in an order in
// which each comes after those that it lies within (network_order.h). While these are open, so are
// their namespaces' sources, among which those of the next are looked for. One that is found there
// is a fault and is not opened itself, so that open sources never overlap. Each fault is told once,
// for the destination that is later in the file.
class Sweep {
 public:
  explicit Sweep(const std::vector<Reach>& all) : all_(all) {}

  // By the later one's place in `all`.
  struct Conflict {
    const Reach* earlier;
    IpNetwork shared;  // a source of the later one
  };
  std::map<std::size_t, Conflict> run();

 private:
  void close_all_but_around(const IpNetwork& to);
  void open(std::size_t reach);
  void conflict(std::size_t one, std::size_t other, const IpNetwork& source,
                const IpNetwork& others_source);

  struct Open {
    IpNetwork to;
    Networks sources;
  };

  const std::vector<Reach>& all_;
  std::vector<Open> open_;  // each within the one before it
  DisjointNetworks<std::size_t> sources_;
  std::map<std::size_t, Conflict> conflicts_;
};

std::map<std::size_t, Sweep::Conflict> Sweep::run() {
  std::vector<std::pair<NetworkKey, std::size_t>> order;
  for (std::size_t i = 0; i < all_.size(); ++i) order.push_back({key_of(all_[i].to->value), i});
  std::sort(order.begin(), order.end());
  for (const auto& [key, reach] : order) {
    close_all_but_around(all_[reach].to->value);
    open(reach);
  }
  return std::move(conflicts_);
}

void Sweep::close_all_but_around(const IpNetwork& to) {
  while (!open_.empty() && !overlap(open_.back().to, to)) {
    for (const IpNetwork& source : open_.back().sources) sources_.erase(source);
    open_.pop_back();
  }
}

void Sweep::open(std::size_t reach) {
  const IpNetwork& to = all_[reach].to->value;
  Open opened{to, {}};
  for (const IpNetwork& source : *all_[reach].sources) {
    if (is_ipv6(source) != is_ipv6(to)) continue;
    if (const auto* other = sources_.overlapping(source)) {
      conflict(reach, other->value, source, other->network);
    } else {
      sources_.insert(source, reach);
      opened.sources.push_back(source);
    }
  }
  open_.push_back(std::move(opened));
}

void Sweep::conflict(std::size_t one, std::size_t other, const IpNetwork& source,
                     const IpNetwork& others_source) {
  if (all_[one].sender == all_[other].sender) return;  // told elsewhere
  const std::size_t later = std::max(one, other);
  const std::size_t earlier = std::min(one, other);
  const Conflict found{&all_[earlier], later == one ? source : others_source};
  const auto [place, is_new] = conflicts_.emplace(later, found);
  if (!is_new && found.earlier < place->second.earlier) place->second = found;
}

}  // namespace

void check_untranslated(const Draft& draft, Faults& faults) {
  const std::vector<Reach> all = reaches(draft);
  for (const Reach& each : all) check_answers(each, faults);
  for (const auto& [place, conflict] : Sweep(all).run()) {
    const Located<IpNetwork>& to = *all[place].to;
    const Located<IpNetwork>& other = *conflict.earlier->to;
    faults.add(to.line,
               fmt::format("[[namespace]] untranslated: {} overlaps {} of {} (line {}), which has"
                           " addresses of {} too: answers from there could belong to both",
                           to_text(to.value), to_text(other.value),
                           title(*conflict.earlier->sender), other.line, to_text(conflict.shared)));
  }
}

}  // namespace swnat::rules
