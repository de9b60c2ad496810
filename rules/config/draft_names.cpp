#include "rules/config/draft_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

namespace swnat::rules {

std::string title(const NamespaceDraft& draft) {
  return draft.name ? fmt::format("namespace \"{}\"", draft.name->value)
                    : fmt::format("the namespace in line {}", draft.line);
}

bool is_range(const NamespaceDraft& draft) {
  return draft.fwmark && draft.fwmark->value.first != draft.fwmark->value.last;
}

std::optional<std::uint32_t> member_named(const NamespaceDraft& range, std::string_view name) {
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

std::vector<NamespaceRange> without(const NamespaceRange& range,
                                    const std::vector<std::uint32_t>& fwmarks) {
  std::vector<NamespaceRange> left;
  std::uint64_t next = range.first;
  const auto end = std::ranges::upper_bound(fwmarks, range.last);
  for (auto cut = std::ranges::lower_bound(fwmarks, range.first); cut != end; ++cut) {
    if (*cut > next) left.push_back({static_cast<std::uint32_t>(next), *cut - 1});
    next = std::uint64_t{*cut} + 1;
  }
  if (next <= range.last) left.push_back({static_cast<std::uint32_t>(next), range.last});
  return left;
}

NamespaceNames::NamespaceNames(const Draft& draft) {
  for (const NamespaceDraft& each : draft.namespaces) {
    if (each.name) by_name_.emplace(each.name->value, &each);
    if (is_range(each)) {
      std::uint32_t& last = range_ends_[each.fwmark->value.first];
      last = std::max(last, each.fwmark->value.last);
    } else if (each.fwmark) {
      singles_.push_back(each.fwmark->value.first);
    }
  }
  for (const auto& [name, draft_of_it] : by_name_) all_.push_back(name);
  std::ranges::sort(all_);
  std::ranges::sort(singles_);
}

bool NamespaceNames::is_member(std::uint32_t fwmark) const {
  const auto after = range_ends_.upper_bound(fwmark);
  return after != range_ends_.begin() && fwmark <= std::prev(after)->second;
}

const NamespaceDraft* NamespaceNames::find(std::string_view name) const {
  if (const auto found = by_name_.find(name); found != by_name_.end()) return found->second;
  const NamespaceDraft* range = range_with(name);
  const bool is_left =
      range != nullptr && !std::ranges::binary_search(singles_, member_named(*range, name).value());
  return is_left ? range : nullptr;
}

const NamespaceDraft* NamespaceNames::range_with(std::string_view name) const {
  const auto range = by_name_.find(name.substr(0, name.rfind('-')));
  if (range == by_name_.end() || !is_range(*range->second)) return nullptr;
  return member_named(*range->second, name) ? range->second : nullptr;
}

std::vector<NamespaceRange> NamespaceNames::ranges(const NamespaceChoice& choice) const {
  if (!choice) return {NamespaceRange{}};
  const NamespaceDraft* found = find(choice->value);
  if (found == nullptr || !found->fwmark) return {};
  const NamespaceRange whole{found->fwmark->value.first, found->fwmark->value.last};
  if (found->name->value == choice->value) {
    return is_range(*found) ? without(whole, singles_) : std::vector{whole};
  }
  const std::uint32_t fwmark = member_named(*found, choice->value).value();
  return {NamespaceRange{fwmark, fwmark}};
}

}  // namespace swnat::rules
