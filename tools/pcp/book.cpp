#include "tools/pcp/book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "swnat/address_text.h"
#include "swnat/protocol.h"
#include "tools/pcp/log.h"

namespace swnat::pcp {
namespace {

constexpr std::size_t most_under_way = 8;  // of a namespace

// As session-keep tells it.
Result result_of(const std::string& reason) {
  if (reason == "session_limit" || reason == "port_limit") return Result::user_ex_quota;
  const bool is_forbidden = reason == "dropped_by_rule" || reason == "untranslated" ||
                            reason == "unknown_namespace" || reason == "invalid_address" ||
                            reason.empty();
  return is_forbidden ? Result::not_authorized : Result::no_resources;
}

}  // namespace

// --- the configuration

void Book::set_config(const rules::Config& config) {
  most_ = config.pcp.max_per_namespace;
  longest_ = config.pcp.lifetime;
  ports_ = config.policy.ports;
  // Three times within the shortest time that a session has which nobody uses.
  const Time shortest =
      std::min(config.policy.timeouts.udp, config.policy.timeouts.tcp_transitory) / 3;
  repeat_after_ = std::max(Seconds(1), std::chrono::duration_cast<Seconds>(shortest));
  AddressLists all;
  for (const IpAddress& each : config.external_addresses) {
    if (const auto* v4 = std::get_if<Ipv4Address>(&each)) {
      all.v4.push_back(*v4);
    } else {
      all.v6.push_back(std::get<Ipv6Address>(each));
    }
  }
  externals_.clear();
  for (const rules::NamespaceConfig& each : config.namespaces) {
    AddressLists own = each.policy.external;
    if (own.v4.empty()) own.v4 = all.v4;
    if (own.v6.empty()) own.v6 = all.v6;
    externals_[each.name] = std::move(own);
  }
}

std::optional<IpAddress> Book::external_address(const std::string& tenant,
                                                const IpAddress& host) const {
  if (const auto known = tenants_.find(tenant); known != tenants_.end()) {
    for (const auto& [key, entry] : known->second.entries) {
      if (parse_endpoint(key.internal)->address == host) return entry.external.address;
    }
  }
  const auto own = externals_.find(tenant);
  if (own == externals_.end()) return {};
  if (std::holds_alternative<Ipv4Address>(host)) {
    return own->second.v4.empty() ? std::nullopt : std::optional<IpAddress>(own->second.v4.front());
  }
  return own->second.v6.empty() ? std::nullopt : std::optional<IpAddress>(own->second.v6.front());
}

Seconds Book::given(Seconds lifetime, Seconds shortest) const {
  return std::clamp(lifetime, std::min(shortest, longest_), longest_);
}

// --- who may

Book::Key Book::key_of(const Wish& wish) {
  return {wish.protocol, to_text(wish.internal), ""};
}

Book::Key Book::key_of(const SessionWish& wish) {
  return {wish.protocol, to_text(wish.internal), to_text(wish.remote)};
}

// Why nothing may be changed, if it may not. What is over is forgotten first.
std::optional<Grant> Book::refusal(Tenant& tenant, const Key& key, const std::string& holder,
                                   Seconds now) {
  std::erase_if(tenant.entries, [&](const auto& each) { return each.second.until <= now; });
  const auto found = tenant.entries.find(key);
  if (found == tenant.entries.end() || found->second.holder == holder) return {};
  return Grant{Result::not_authorized, {}, found->second.until - now};
}

bool Book::has_room(const Tenant& tenant, const Key& key) const {
  // What is under way may come to be there.
  std::size_t count = tenant.entries.size();
  for (const Key& each : tenant.under_way) count += tenant.entries.contains(each) ? 0u : 1u;
  return count < most_ || tenant.entries.contains(key) || tenant.under_way.contains(key);
}

bool Book::ask(const std::string& tenant, const Key& key, const Json& request, Control::Done done) {
  Tenant& own = tenants_[tenant];
  if (own.under_way.size() >= most_under_way || own.under_way.contains(key)) return false;
  const bool is_asked =
      control_.ask(request, [=, this, done = std::move(done)](const Json* answer) {
        tenants_[tenant].under_way.erase(key);
        done(answer);
      });
  if (is_asked) own.under_way.insert(key);
  return is_asked;
}

// A refusal that is the same again and again is one line.
void Book::complain(const std::string& what, const Json& answer) {
  const std::string error = text_in(answer, "error");
  if (std::exchange(complained_, error) != error)
    log(Priority::warning, "the daemon refuses {}: {}", what, error);
}

// --- ports

bool Book::has_external(const std::string& tenant, const IpAddress& address) const {
  const auto own = externals_.find(tenant);
  if (own == externals_.end()) return false;
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    return std::ranges::count(own->second.v4, *v4) != 0;
  }
  return std::ranges::count(own->second.v6, std::get<Ipv6Address>(address)) != 0;
}

// What the daemon is asked for, an endpoint, an address or nothing: no port beyond those of the
// NAT, which may be the gateway's own. Nothing at all if only what cannot be had is wanted.
std::optional<std::string> Book::wanted_external(const std::string& tenant,
                                                 const Wish& wish) const {
  const IpEndpoint& suggested = wish.suggested;
  const bool is_any_address = is_unspecified(suggested.address);
  const bool has_address = has_external(tenant, suggested.address) &&
                           suggested.address.index() == wish.internal.address.index();
  const bool has_port = ports_.contains(suggested.port);
  const bool is_possible = (has_address || is_any_address) && (has_port || suggested.port == 0);
  if (wish.is_exact && !is_possible) return {};
  const auto address = has_address ? std::optional(suggested.address)
                                   : external_address(tenant, wish.internal.address);
  if (address && has_port) return to_text(IpEndpoint{*address, suggested.port});
  return has_address ? to_text(suggested.address) : "";
}

void Book::map(const std::string& tenant, const Wish& wish, Seconds now, Reply reply) {
  const Key key = key_of(wish);
  if (const auto refused = refusal(tenants_[tenant], key, wish.holder, now)) return reply(*refused);
  if (!has_room(tenants_[tenant], key)) return reply({Result::user_ex_quota, {}, Seconds(0)});
  const auto external = wanted_external(tenant, wish);
  if (!external) return reply({Result::cannot_provide_external, {}, Seconds(0)});
  Json request{{"command", "forward-add"},
               {"protocol", name_of(wish.protocol)},
               {"namespace", tenant},
               {"to", key.internal},
               {"lifetime", given(wish.lifetime, wish.shortest).count()},
               {"owner", owner},
               {"note", wish.holder},
               {"any_port", !wish.is_exact || wish.suggested.port == 0}};
  if (!external->empty()) request["external"] = *external;
  ask(tenant, key, request, [=, this, reply = std::move(reply)](const Json* answer) {
    if (answer == nullptr) return;
    const auto forward = answer->find("forward");
    if (!is_ok(*answer) || forward == answer->end() || !forward->is_object()) {
      complain("a forward", *answer);
      const Result result = wish.is_exact ? Result::cannot_provide_external : Result::no_resources;
      return reply({result, {}, Seconds(0)});
    }
    const auto endpoint = parse_endpoint(text_in(*forward, "external"));
    if (!endpoint) return;
    const Seconds lifetime = seconds_in(*forward, "lifetime_left");
    tenants_[tenant].entries[key] = {wish.holder, *endpoint, now + lifetime};
    is_changed_ = true;
    reply({Result::success, *endpoint, lifetime});
  });
}

// Also where the daemon has it no more.
void Book::remove(const std::string& tenant, const Key& key, std::function<void()> done) {
  const Json request{{"command", "forward-remove"},
                     {"namespace", tenant},
                     {"protocol", name_of(key.protocol)},
                     {"to", key.internal},
                     {"owner", owner}};
  ask(tenant, key, request, [=, this, done = std::move(done)](const Json* answer) {
    if (answer == nullptr) return;
    if (!is_ok(*answer)) complain("to end a forward", *answer);
    tenants_[tenant].entries.erase(key);
    is_changed_ = true;
    done();
  });
}

void Book::unmap(const std::string& tenant, const Wish& wish, Seconds now, Reply reply) {
  const Key key = key_of(wish);
  if (const auto refused = refusal(tenants_[tenant], key, wish.holder, now)) return reply(*refused);
  if (!tenants_[tenant].entries.contains(key)) return reply({});
  remove(tenant, key, [reply = std::move(reply)] { reply({}); });
}

void Book::unmap_all(const std::string& tenant, const Wish& wish, Seconds now, const Reply& reply) {
  std::vector<Key> keys;
  std::optional<Seconds> others;  // until when the last of them lasts
  for (const auto& [key, entry] : tenants_[tenant].entries) {
    const bool is_meant = key.remote.empty() && entry.until > now &&
                          (wish.protocol == 0 || wish.protocol == key.protocol) &&
                          parse_endpoint(key.internal)->address == wish.internal.address;
    if (!is_meant) continue;
    if (entry.holder == wish.holder) {
      keys.push_back(key);
    } else {
      others = std::max(others.value_or(entry.until), entry.until);
    }
  }
  if (keys.empty() && others) return reply({Result::not_authorized, {}, *others - now});
  remove_all(tenant, std::move(keys), reply);
}

// One after the other.
void Book::remove_all(const std::string& tenant, std::vector<Key> keys, const Reply& reply) {
  if (keys.empty()) return reply({});
  const Key last = keys.back();
  keys.pop_back();
  remove(tenant, last,
         [this, tenant, keys = std::move(keys), reply] { remove_all(tenant, keys, reply); });
}

// --- kept sessions

Json Book::keep_request(const std::string& tenant, const Key& key) {
  return {{"command", "session-keep"},
          {"namespace", tenant},
          {"protocol", name_of(key.protocol)},
          {"internal", key.internal},
          {"remote", key.remote}};
}

void Book::keep(const std::string& tenant, const SessionWish& wish, Seconds now, Reply reply) {
  const Key key = key_of(wish);
  if (const auto refused = refusal(tenants_[tenant], key, wish.holder, now)) return reply(*refused);
  if (!has_room(tenants_[tenant], key)) return reply({Result::user_ex_quota, {}, Seconds(0)});
  ask(tenant, key, keep_request(tenant, key),
      [=, this, reply = std::move(reply)](const Json* answer) {
        if (answer == nullptr) return;
        if (!is_ok(*answer)) return reply({result_of(text_in(*answer, "reason")), {}, Seconds(0)});
        const auto external = parse_endpoint(text_in(*answer, "external"));
        if (!external) return;
        // The session is what it is; who wants another is told so (RFC 6887 section 12.3).
        const bool is_other = (wish.suggested.port != 0 && wish.suggested.port != external->port) ||
                              (!is_unspecified(wish.suggested.address) &&
                               wish.suggested.address != external->address);
        if (is_other) return reply({Result::cannot_provide_external, {}, Seconds(0)});
        const Seconds lifetime = given(wish.lifetime, shortest_lifetime);
        tenants_[tenant].entries[key] = {wish.holder, *external, now + lifetime};
        schedule(tenant, key, now + repeat_after_);
        is_changed_ = true;
        reply({Result::success, *external, lifetime});
      });
}

void Book::release(const std::string& tenant, const SessionWish& wish, Seconds now,
                   const Reply& reply) {
  const Key key = key_of(wish);
  if (const auto refused = refusal(tenants_[tenant], key, wish.holder, now)) return reply(*refused);
  if (tenants_[tenant].entries.erase(key) != 0) is_changed_ = true;
  reply({});
}

}  // namespace swnat::pcp
