#include "rules/draft_names.h"

#include <fmt/format.h>

#include <charconv>

namespace swnat::rules {
namespace {

// The fwmark that the name of a range's member ends with.
std::optional<std::uint32_t> member_fwmark(const NamespaceDraft& range, std::string_view name) {
  const std::string& stem = range.name->value;
  if (!name.starts_with(stem) || name.size() <= stem.size() + 1 || name[stem.size()] != '-') {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(stem.size() + 1);
  std::uint32_t fwmark = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), fwmark);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits[0] == '0' ||
      fwmark < range.fwmark->value.first || fwmark > range.fwmark->value.last) {
    return std::nullopt;
  }
  return fwmark;
}

}  // namespace

std::string title(const NamespaceDraft& draft) {
  return draft.name ? fmt::format("namespace \"{}\"", draft.name->value)
                    : fmt::format("the namespace in line {}", draft.line);
}

bool is_range(const NamespaceDraft& draft) {
  return draft.fwmark && draft.fwmark->value.first != draft.fwmark->value.last;
}

NamespaceNames::NamespaceNames(const Draft& draft) {
  for (const NamespaceDraft& each : draft.namespaces) {
    if (each.name) by_name_.emplace(each.name->value, &each);
  }
}

const NamespaceDraft* NamespaceNames::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found != by_name_.end() ? found->second : range_with(name);
}

const NamespaceDraft* NamespaceNames::range_with(std::string_view name) const {
  const auto range = by_name_.find(name.substr(0, name.rfind('-')));
  if (range == by_name_.end() || !is_range(*range->second)) return nullptr;
  return member_fwmark(*range->second, name) ? range->second : nullptr;
}

std::optional<NamespaceRange> NamespaceNames::range(const NamespaceChoice& choice) const {
  if (!choice) return NamespaceRange{};
  const NamespaceDraft* found = find(choice->value);
  if (found == nullptr || !found->fwmark) return std::nullopt;
  if (found->name->value == choice->value) {
    return NamespaceRange{found->fwmark->value.first, found->fwmark->value.last};
  }
  const std::uint32_t fwmark = member_fwmark(*found, choice->value).value();
  return NamespaceRange{fwmark, fwmark};
}

}  // namespace swnat::rules
