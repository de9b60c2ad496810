#include "engine/policy/rule_book.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "engine/base/hash.h"
#include "engine/policy/require.h"

namespace swnat {
namespace {

bool has_ports(std::uint8_t number) {
  return number == protocol::tcp || number == protocol::udp;
}

bool same_family(const IpEndpoint& a, const IpEndpoint& b) {
  return a.address.index() == b.address.index();
}

bool is_external(const Policy& policy, const IpAddress& address) {
  return std::visit(
      [&](const auto& one) {
        if constexpr (std::is_same_v<decltype(one), const Ipv4Address&>) {
          return std::ranges::find(policy.external.v4, one) != policy.external.v4.end();
        } else {
          return std::ranges::find(policy.external.v6, one) != policy.external.v6.end();
        }
      },
      address);
}

bool has_namespace(const Policy& policy, NamespaceId id) {
  const auto after = std::ranges::upper_bound(policy.namespaces, id, {}, &NamespacePolicy::first);
  return after != policy.namespaces.begin() && std::prev(after)->last >= id;
}

bool has_valid_length(const IpNetwork& network) {
  return std::visit([](const auto& one) { return one.length <= 8 * sizeof one.address; }, network);
}

}  // namespace

ForwardKey forward_key(std::uint8_t protocol, const IpEndpoint& external) {
  std::array<std::uint64_t, 2> wire{};
  if (const auto* v4 = std::get_if<Ipv4Address>(&external.address)) {
    wire[0] = v4->wire;
  } else {
    wire = std::get<Ipv6Address>(external.address).wire;
  }
  return {protocol, external.address.index(), wire, external.port};
}

ForwardRoom room_of(const ForwardRule& rule) {
  return {rule.namespace_id, forward_key(rule.protocol, rule.external)};
}

void check_policy_rules(const Policy& policy) {
  for (const NamespacePolicy& one : policy.namespaces) {
    for (const auto* networks : {&one.inside, &one.untranslated}) {
      require(std::ranges::all_of(*networks, has_valid_length),
              "a network's length must be within its address");
    }
  }
  for (const DropRule& rule : policy.drops) {
    require(has_ports(rule.protocol) || rule.protocol == protocol::icmp,
            "a drop rule is for TCP, UDP or ICMP");
    require(rule.ports.first <= rule.ports.last, "a drop rule's ports must be a range");
  }
  for (const RedirectRule& rule : policy.redirects) {
    require(has_ports(rule.protocol), "a redirect is for TCP or UDP");
    require(rule.from.port != 0 && rule.to.port != 0, "a redirect's ports must not be 0");
    require(same_family(rule.from, rule.to), "a redirect's ends must be of one family");
  }
  std::set<ForwardKey> seen;
  for (const ForwardRule& rule : policy.forwards) {
    require(has_ports(rule.protocol), "a forward is for TCP or UDP");
    require(rule.external.port != 0 && rule.to.port != 0, "a forward's ports must not be 0");
    require(same_family(rule.external, rule.to), "a forward's ends must be of one family");
    require(is_external(policy, rule.external.address), "a forward needs an external address");
    require(has_namespace(policy, rule.namespace_id), "a forward's namespace must be there");
    require(seen.insert(forward_key(rule.protocol, rule.external)).second,
            "two forwards of the same external endpoint");
  }
}

template <class Family>
std::size_t RuleBook<Family>::Hash::operator()(const Key& key) const {
  constexpr Secret spread = {0x9e37'79b9'7f4a'7c15, 0xd1b5'4a32'd192'ed03, 0xaef1'7502'b3fc'a1b7,
                             0x8cb9'2ba7'2f3d'8dd7};
  const std::uint64_t rest =
      std::uint64_t{key.namespace_id} << 32 | std::uint64_t{key.end.port} << 8 | key.protocol;
  return Family::hash(key.end.address, {}, rest, spread);
}

template <class Family>
RuleBook<Family>::RuleBook(const Policy& policy, const ForwardSlots& slots)
    : drop_rules_(policy.drops) {
  for (const DropRule& rule : policy.drops) {
    if (!has_ports(rule.protocol)) continue;
    for (std::uint32_t port = rule.ports.first; port <= rule.ports.last; ++port) {
      dropped_ports_.set(port);
    }
  }
  const auto end_of = [](const IpEndpoint& end) {
    return End{std::get<Address>(end.address), end.port};
  };
  for (const RedirectRule& rule : policy.redirects) {
    if (!std::holds_alternative<Address>(rule.from.address)) continue;
    redirects_[{rule.protocol, 0, end_of(rule.from)}].push_back({&rule, end_of(rule.to)});
  }
  for (const ForwardRule& rule : policy.forwards) {
    if (!std::holds_alternative<Address>(rule.external.address)) continue;
    const End external = end_of(rule.external);
    const End to = end_of(rule.to);
    const std::uint32_t slot = rule.session_limit == 0 ? 0 : slots.at(room_of(rule));
    forwards_.try_emplace({rule.protocol, 0, external},
                          Forward{rule.namespace_id, to, rule.session_limit, slot});
    forwarded_.try_emplace({rule.protocol, rule.namespace_id, to}, external);
  }
}

template <class Family>
bool RuleBook<Family>::drops(NamespaceId id, std::uint8_t protocol,
                             std::uint16_t remote_port) const {
  const bool is_icmp = protocol == Family::icmp_protocol;
  if (!is_icmp && !dropped_ports_.test(remote_port)) return false;
  const std::uint8_t named = is_icmp ? protocol::icmp : protocol;
  return std::ranges::any_of(drop_rules_, [&](const DropRule& rule) {
    return rule.protocol == named && rule.namespaces.contains(id) &&
           (is_icmp || rule.ports.contains(remote_port));
  });
}

template <class Family>
const Endpoint<typename Family::Address>* RuleBook<Family>::redirect(NamespaceId id,
                                                                     std::uint8_t protocol,
                                                                     const End& remote) const {
  if (redirects_.empty()) return nullptr;
  const auto found = redirects_.find({protocol, 0, remote});
  if (found == redirects_.end()) return nullptr;
  for (const Redirect& one : found->second) {
    if (one.rule->namespaces.contains(id)) return &one.to;
  }
  return nullptr;
}

template <class Family>
const typename RuleBook<Family>::Forward* RuleBook<Family>::forward(std::uint8_t protocol,
                                                                    const End& external) const {
  if (forwards_.empty()) return nullptr;
  const auto found = forwards_.find({protocol, 0, external});
  return found == forwards_.end() ? nullptr : &found->second;
}

template <class Family>
const Endpoint<typename Family::Address>* RuleBook<Family>::forwarded_as(
    NamespaceId id, std::uint8_t protocol, const End& internal) const {
  if (forwarded_.empty()) return nullptr;
  const auto found = forwarded_.find({protocol, id, internal});
  return found == forwarded_.end() ? nullptr : &found->second;
}

template class RuleBook<Ipv4>;
template class RuleBook<Ipv6>;

}  // namespace swnat
