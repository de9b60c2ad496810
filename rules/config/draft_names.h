// Finding a namespace by its name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/config/draft.h"

namespace swnat::rules {

// For people: "namespace "blue"".
std::string title(const NamespaceDraft& draft);

bool is_range(const NamespaceDraft& draft);

// The fwmark of the range's member that has this name: of "vpn-1000" if the range is called "vpn".
std::optional<std::uint32_t> member_named(const NamespaceDraft& range, std::string_view name);

// What of a range is left without these fwmarks, which are sorted.
std::vector<NamespaceRange> without(const NamespaceRange& range,
                                    const std::vector<std::uint32_t>& fwmarks);

// Refers to the draft, which must outlive it.
class NamespaceNames {
 public:
  explicit NamespaceNames(const Draft& draft);

  // The namespace, or the range, that has this name or a member of this name; null if none does. A
  // member that has a [[namespace]] of its own has that one's name only.
  const NamespaceDraft* find(std::string_view name) const;
  // The range that has a member of this name: "vpn" for "vpn-1000"; null if none does.
  const NamespaceDraft* range_with(std::string_view name) const;

  // All names, ranges' included and their members' not. In the order of the alphabet.
  const std::vector<std::string_view>& all() const { return all_; }

  // What a choice means: more than one for a range of which members have a [[namespace]] of their
  // own. Empty if there is no such namespace, or its fwmark is not known.
  std::vector<NamespaceRange> ranges(const NamespaceChoice& choice) const;

  // Whether the fwmark lies in a range.
  bool is_member(std::uint32_t fwmark) const;

 private:
  std::unordered_map<std::string_view, const NamespaceDraft*> by_name_;
  std::vector<std::string_view> all_;
  std::vector<std::uint32_t> singles_;                 // fwmarks of those that are no range, sorted
  std::map<std::uint32_t, std::uint32_t> range_ends_;  // last fwmarks of ranges, by the first
};

}  // namespace swnat::rules
