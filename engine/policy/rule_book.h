// The rules of a policy, found by what packets have. Asked when a session is established, and once
// for each session when the policy changes.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "engine/wire/family.h"
#include "swnat/policy.h"

namespace swnat {

// Whether one of the networks holds the address.
template <class Address>
bool any_contains(const std::vector<IpNetwork>& networks, const Address& address) {
  for (const IpNetwork& network : networks) {
    const auto* of_family = std::get_if<Network<Address>>(&network);
    if (of_family != nullptr && of_family->contains(address)) return true;
  }
  return false;
}

// A forward by what it is known by over changes of policy: its protocol and external endpoint.
using ForwardKey =
    std::tuple<std::uint8_t, std::size_t, std::array<std::uint64_t, 2>, std::uint16_t>;
ForwardKey forward_key(std::uint8_t protocol, const IpEndpoint& external);
// The room that a forward has of its own is its namespace's.
using ForwardRoom = std::pair<NamespaceId, ForwardKey>;
ForwardRoom room_of(const ForwardRule& rule);
// Where the sessions in it are counted.
using ForwardSlots = std::map<ForwardRoom, std::uint32_t>;

// Immutable. `policy` must outlive it and be a valid one (check_policy_rules).
template <class Family>
class RuleBook {
 public:
  using Address = typename Family::Address;
  using End = Endpoint<Address>;

  RuleBook(const Policy& policy, const ForwardSlots& slots);

  bool drops(NamespaceId id, std::uint8_t protocol, std::uint16_t remote_port) const;

  // Where packets to `remote` go instead; nullptr where no rule says so.
  const End* redirect(NamespaceId id, std::uint8_t protocol, const End& remote) const;

  struct Forward {
    NamespaceId namespace_id;
    End to;
    std::uint32_t session_limit;  // 0: none of its own
    std::uint32_t slot;           // where there is one
  };
  const Forward* forward(std::uint8_t protocol, const End& external) const;
  // The external endpoint that an internal one has by a rule, by the first if there are several; or
  // nullptr.
  const End* forwarded_as(NamespaceId id, std::uint8_t protocol, const End& internal) const;

 private:
  struct Key {
    std::uint8_t protocol;
    NamespaceId namespace_id;  // 0 where it does not matter
    End end;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Redirect {
    const RedirectRule* rule;
    End to;
  };

  const std::vector<DropRule>& drop_rules_;
  std::bitset<65'536> dropped_ports_;  // that any rule for TCP or UDP may drop
  std::unordered_map<Key, std::vector<Redirect>, Hash> redirects_;
  std::unordered_map<Key, Forward, Hash> forwards_;
  std::unordered_map<Key, End, Hash> forwarded_;
};

// Throws std::invalid_argument for rules that break their documented ranges. The policy's
// namespaces must be sorted and apart.
void check_policy_rules(const Policy& policy);

extern template class RuleBook<Ipv4>;
extern template class RuleBook<Ipv6>;

}  // namespace swnat
