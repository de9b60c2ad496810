// Finding a namespace by its name.
#pragma once

#include <string_view>
#include <unordered_map>

#include "rules/draft.h"

namespace swnat::rules {

// For people: "namespace "blue"".
std::string title(const NamespaceDraft& draft);

bool is_range(const NamespaceDraft& draft);

// Refers to the draft, which must outlive it.
class NamespaceNames {
 public:
  explicit NamespaceNames(const Draft& draft);

  // The namespace, or the range, that has this name or a member of this name; null if none does.
  const NamespaceDraft* find(std::string_view name) const;
  // The range that has a member of this name: "vpn" for "vpn-1000"; null if none does.
  const NamespaceDraft* range_with(std::string_view name) const;

  // What a choice means; nullopt if there is no such namespace, or its fwmark is not known.
  std::optional<NamespaceRange> range(const NamespaceChoice& choice) const;

 private:
  std::unordered_map<std::string_view, const NamespaceDraft*> by_name_;
};

}  // namespace swnat::rules
