// Contradictions of the destinations that namespaces reach untranslated.
#include <fmt/format.h>

#include <algorithm>

#include "rules/address_text.h"
#include "rules/draft_names.h"

namespace swnat::rules {
namespace {

using Networks = std::vector<IpNetwork>;

struct Sender {
  const NamespaceDraft* draft;
  Networks sources;
};

Networks sources(const NamespaceDraft& draft) {
  Networks all;
  for (const auto& subnet : draft.subnets) all.push_back(subnet.value);
  for (const auto& route : draft.routes) all.push_back(route.value.to);
  return all;
}

// Of the family of `to`, and in both lists, at least in part; null if there is none.
const IpNetwork* shared_source(const Networks& some, const Networks& others, const IpNetwork& to) {
  for (const IpNetwork& each : some) {
    if (is_ipv6(each) != is_ipv6(to)) continue;
    const bool is_shared = std::any_of(
        others.begin(), others.end(), [&](const IpNetwork& other) { return overlap(each, other); });
    if (is_shared) return &each;
  }
  return nullptr;
}

void check_answers(const Sender& sender, const Located<IpNetwork>& to, Faults& faults) {
  const bool has_source =
      std::any_of(sender.sources.begin(), sender.sources.end(),
                  [&](const IpNetwork& source) { return is_ipv6(source) == is_ipv6(to.value); });
  if (has_source) return;
  faults.add(to.line,
             fmt::format("[[namespace]] untranslated: {} has no subnets of IPv{} that answers from "
                         "{} could be routed to",
                         title(*sender.draft), is_ipv6(to.value) ? 6 : 4, to_text(to.value)));
}

// Only their destinations would tell the answers to two namespaces apart.
void check_apart(const Sender& sender, const Located<IpNetwork>& to, const Sender& earlier,
                 Faults& faults) {
  const auto& others = earlier.draft->untranslated;
  const auto other = std::find_if(others.begin(), others.end(),
                                  [&](const auto& each) { return overlap(each.value, to.value); });
  if (other == others.end()) return;
  const IpNetwork* shared = shared_source(sender.sources, earlier.sources, to.value);
  if (shared == nullptr) return;
  faults.add(
      to.line,
      fmt::format("[[namespace]] untranslated: {} overlaps {} of {} (line {}), which has addresses "
                  "of {} too: answers from there could belong to both",
                  to_text(to.value), to_text(other->value), title(*earlier.draft), other->line,
                  to_text(*shared)));
}

}  // namespace

void check_untranslated(const Draft& draft, Faults& faults) {
  std::vector<Sender> earlier;
  for (const NamespaceDraft& each : draft.namespaces) {
    if (each.untranslated.empty() || is_range(each)) continue;
    Sender sender{&each, sources(each)};
    for (const auto& to : each.untranslated) {
      check_answers(sender, to, faults);
      for (const Sender& other : earlier) check_apart(sender, to, other, faults);
    }
    earlier.push_back(std::move(sender));
  }
}

}  // namespace swnat::rules
