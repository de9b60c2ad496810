// What Shares promises, with plain containers and no regard for time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "engine/base/shares.h"

namespace swnat::test {

template <class Item>
class NaiveShares {
 public:
  explicit NaiveShares(const ShareLimits& limits) : limits_(limits) {}

  std::optional<Item> displaced_by(std::uint64_t owner) const {
    if (count(owner) >= limits_.each) return oldest(owner);
    if (items_.size() < limits_.all) return std::nullopt;
    std::uint64_t loser = owner;
    for (const auto& [other, since] : counted_since_) {
      const bool has_more = count(other) > count(loser);
      const bool is_first = count(other) == count(loser) && since < counted_since_.at(loser);
      if (has_more || (loser != owner && is_first)) loser = other;
    }
    return oldest(loser);
  }

  void add(const Item& item, std::uint64_t owner) {
    items_.push_back({item, owner});
    counted_since_[owner] = changes_++;
  }
  void remove(const Item& item) {
    const auto at = find(item);
    const std::uint64_t owner = at->owner;
    items_.erase(at);
    counted_since_[owner] = changes_++;
    if (count(owner) == 0) counted_since_.erase(owner);
  }
  void renew(const Item& item) {
    const auto at = find(item);
    std::rotate(at, at + 1, items_.end());
  }

  std::size_t count() const { return items_.size(); }
  std::size_t count(std::uint64_t owner) const {
    return static_cast<std::size_t>(std::ranges::count(items_, owner, &Owned::owner));
  }
  std::optional<Item> oldest() const {
    return items_.empty() ? std::nullopt : std::optional(items_.front().item);
  }
  std::optional<Item> oldest(std::uint64_t owner) const {
    const auto at = std::ranges::find(items_, owner, &Owned::owner);
    return at == items_.end() ? std::nullopt : std::optional(at->item);
  }
  Item at(std::size_t place) const { return items_[place].item; }
  std::uint64_t owner_of(std::size_t place) const { return items_[place].owner; }

 private:
  struct Owned {
    Item item;
    std::uint64_t owner;
  };

  auto find(const Item& item) { return std::ranges::find(items_, item, &Owned::item); }

  ShareLimits limits_;
  std::vector<Owned> items_;                              // oldest first
  std::map<std::uint64_t, std::uint64_t> counted_since_;  // when its count last changed
  std::uint64_t changes_ = 0;
};

}  // namespace swnat::test
