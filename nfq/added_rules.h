// The rules that were added while the daemon runs, beside those of its file.
//
// They are forwards and drops as the file may have them, each with who added it, for how long, and
// a note of theirs. Nobody asks for them packet by packet: the engine gets them with the policy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/config/lone_rule.h"
#include "swnat/address_text.h"
#include "swnat/policy.h"
#include "swnat/time.h"

namespace swnat::nfq {

// What a rule is added with.
struct Terms {
  std::string owner;
  std::string note;               // of the owner's own; empty: none
  std::optional<Time> ends = {};  // on the clock of now(); nothing: when it is removed

  bool is_over(Time now) const { return ends && *ends <= now; }
  friend bool operator==(const Terms&, const Terms&) = default;
};

struct AddedForward {
  rules::LoneForward forward;
  Terms terms;

  // The same forward by another endpoint, or with other terms.
  bool is_like(const AddedForward& other) const {
    return terms.owner == other.terms.owner && leads_where(other);
  }
  bool leads_where(const AddedForward& other) const {
    return forward.namespace_name == other.forward.namespace_name &&
           forward.rule.protocol == other.forward.rule.protocol &&
           forward.rule.to == other.forward.rule.to;
  }
  friend bool operator==(const AddedForward&, const AddedForward&) = default;
};

struct AddedDrop {
  std::uint64_t number = 0;  // which people know it by; no other one ever has it
  rules::LoneDrop drop;
  Terms terms;

  bool is_like(const AddedDrop& other) const {
    return terms.owner == other.terms.owner && drops_what(other);
  }
  bool drops_what(const AddedDrop& other) const {
    return drop.protocol == other.drop.protocol && drop.ports == other.drop.ports &&
           drop.namespace_name == other.drop.namespace_name;
  }
  friend bool operator==(const AddedDrop&, const AddedDrop&) = default;
};

// For people: "forward tcp 203.0.113.1:8080 to 10.0.0.2:80 of blue (added by operator)".
std::string title(const AddedForward& one);
std::string title(const AddedDrop& one);

// A value: changed as a copy, which takes the place of the one before once it is in force.
class AddedRules {
 public:
  // Of all kinds. With 10,000 namespaces and 4000 forwards the engine takes a changed policy over
  // in two to three milliseconds, and with no more than that a file of the rules is some hundred
  // kB.
  static constexpr std::size_t most = 4096;

  const std::vector<AddedForward>& forwards() const { return forwards_; }
  const std::vector<AddedDrop>& drops() const { return drops_; }
  bool is_full() const { return forwards_.size() + drops_.size() >= most; }

  const AddedForward* find_like(const AddedForward& wanted) const;
  const AddedDrop* find_like(const AddedDrop& wanted) const;
  // By its external endpoint.
  const AddedForward* find(std::uint8_t protocol, const IpEndpoint& external) const;

  // In place of the one that is like it, or as a new one, for which there must be room. A drop
  // keeps the number of that one, or gets a new number. Returns where it is now.
  const AddedForward& put(AddedForward one);
  const AddedDrop& put(AddedDrop one);

  // Removes those that `is_meant`, and returns how many.
  template <class IsMeant>
  std::size_t remove_forwards(IsMeant is_meant) {
    return std::erase_if(forwards_, is_meant);
  }
  template <class IsMeant>
  std::size_t remove_drops(IsMeant is_meant) {
    return std::erase_if(drops_, is_meant);
  }
  std::size_t remove_over(Time now);
  // When the first of them is over.
  std::optional<Time> next_end() const;

  // What of them a configuration has no place for goes: of namespaces, networks and external
  // addresses that it does not have, by external endpoints that its own forwards have, or that no
  // rule of the kernel's queues. Returns a line for each that went, and why. The others follow the
  // names of their namespaces.
  std::vector<std::string> fit_to(const rules::Config& config);

  // Behind the policy's own.
  void add_to(Policy& policy) const;
  // Whether both add the same.
  bool add_the_same(const AddedRules& other) const;

  // For a file: takes what was kept; the next drop has a higher number than all of them.
  void restore(std::vector<AddedForward> forwards, std::vector<AddedDrop> drops);

  friend bool operator==(const AddedRules&, const AddedRules&) = default;

 private:
  std::vector<AddedForward> forwards_;
  std::vector<AddedDrop> drops_;
  std::uint64_t last_number_ = 0;
};

// Whether the configuration itself has a forward there.
bool has_forward(const rules::Config& config, std::uint8_t protocol, const IpEndpoint& external);
// For people, as external.ports may have them: "32768-65535".
std::string text_of(const PortRanges& ports);

}  // namespace swnat::nfq
