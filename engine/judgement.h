// What the rules alone say of a namespace's packet that has no session yet.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/sessions.h"
#include "swnat/reason.h"

namespace swnat {

template <class Family>
struct Judgement {
  const NamespaceEntry* tenant = nullptr;
  const DropRule* drop = nullptr;
  const typename RuleBook<Family>::Redirect* redirect = nullptr;
  std::optional<Reason> reason = {};  // why it gets none; nothing if it may
};

// `asked`: where it is sent to.
template <class Family>
inline Judgement<Family> judge(const Sessions<Family>& sessions, NamespaceId id,
                               std::uint8_t protocol,
                               const Endpoint<typename Family::Address>& asked) {
  Judgement<Family> all{.tenant = sessions.find_namespace(id)};
  if (all.tenant == nullptr) {
    all.reason = Reason::unknown_namespace;
    return all;
  }
  const RuleBook<Family>& rules = sessions.rules();
  all.drop = rules.drop(id, protocol, asked.port);
  if (all.drop != nullptr) {
    all.reason = Reason::dropped_by_rule;
    return all;
  }
  all.redirect = rules.redirect(id, protocol, asked);
  if (all.redirect == nullptr && any_contains(all.tenant->policy->untranslated, asked.address)) {
    all.reason = Reason::untranslated;
  }
  return all;
}

}  // namespace swnat
