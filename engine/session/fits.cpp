#include "engine/session/fits.h"

namespace swnat {

template <class Family>
bool fits(const Session<Family>& session, const Snapshot& policy) {
  using End = Endpoint<typename Family::Address>;
  const RuleBook<Family>& rules = policy.rules<Family>();
  const NamespaceEntry* tenant = policy.find(session.namespace_id);
  if (tenant == nullptr) return false;
  const End internal{session.inside.local, session.inside.local_port};
  const End external{session.outside.local, session.outside.local_port};
  const auto* forward = rules.forward(session.protocol, external);
  if (session.is_forward) {
    if (forward == nullptr || forward->namespace_id != tenant->id || forward->to != internal) {
      return false;
    }
  } else if (forward != nullptr ||
             rules.forwarded_as(tenant->id, session.protocol, internal) != nullptr) {
    return false;
  }
  const End asked{session.inside.remote, session.inside.remote_port};
  const End remote{session.outside.remote, session.outside.remote_port};
  if (session.is_from_outside) return asked == remote && !session.remote_is_inside;
  const auto* const redirected = rules.redirect(tenant->id, session.protocol, asked);
  const bool is_redirected = redirected != nullptr;
  const bool stays_inside =
      is_redirected && any_contains(tenant->policy->inside, redirected->to.address);
  const bool passes =
      !is_redirected && any_contains(tenant->policy->untranslated, session.inside.remote);
  return (is_redirected ? redirected->to : asked) == remote &&
         stays_inside == session.remote_is_inside && !passes &&
         rules.drop(tenant->id, session.protocol, asked.port) == nullptr;
}

template bool fits(const Session<Ipv4>&, const Snapshot&);
template bool fits(const Session<Ipv6>&, const Snapshot&);

}  // namespace swnat
