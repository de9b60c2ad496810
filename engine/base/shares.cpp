#include "engine/base/shares.h"

#include <algorithm>

namespace swnat {

Shares::Shares(std::uint32_t items, const ShareLimits& limits)
    : limits_(limits),
      items_(items, Pages::small),
      owners_(limits.all, Pages::small),
      by_count_(std::size_t{std::min(limits.all, limits.each)} + 1, Pages::small),
      index_(limits.all) {}

std::size_t Shares::memory_size(std::uint32_t items, const ShareLimits& limits) {
  return items * sizeof(ItemLinks) + limits.all * sizeof(OwnerRecord) +
         (std::size_t{std::min(limits.all, limits.each)} + 1) * sizeof(ListEnds) +
         Index::lines_for(limits.all) * 64;
}

std::uint32_t Shares::count(Owner owner) const {
  const std::uint32_t at = find(owner);
  return at == none ? 0 : owners_[at].count;
}

Shares::Item Shares::oldest(Owner owner) const {
  const std::uint32_t at = find(owner);
  return at == none ? none : owners_[at].items.first();
}

Shares::Item Shares::displaced_by(Owner owner) const {
  const std::uint32_t at = find(owner);
  const std::uint32_t own = at == none ? 0 : owners_[at].count;
  if (own == limits_.each) return owners_[at].items.first();
  if (count_ < limits_.all) return none;
  return owners_[own == most_ ? at : by_count_[most_].first()].items.first();
}

void Shares::add(Item item, Owner owner) {
  std::uint32_t at = find(owner);
  if (at == none) at = make(owner);
  items_[item].owner = at;
  List<&ItemLinks::owned>::append(items_, owners_[at].items, item);
  List<&ItemLinks::age>::append(items_, by_age_, item);
  set_count(at, owners_[at].count + 1);
  ++count_;
}

void Shares::remove(Item item) {
  const std::uint32_t at = items_[item].owner;
  List<&ItemLinks::owned>::remove(items_, owners_[at].items, item);
  List<&ItemLinks::age>::remove(items_, by_age_, item);
  if (owners_[at].count == 1) index_.erase(hash(owners_[at].id), at);
  set_count(at, owners_[at].count - 1);
  --count_;
}

void Shares::renew(Item item) {
  ListEnds& owned = owners_[items_[item].owner].items;
  List<&ItemLinks::owned>::remove(items_, owned, item);
  List<&ItemLinks::owned>::append(items_, owned, item);
  List<&ItemLinks::age>::remove(items_, by_age_, item);
  List<&ItemLinks::age>::append(items_, by_age_, item);
}

// A record with nothing in it, which is among those of count 0.
std::uint32_t Shares::make(Owner owner) {
  std::uint32_t at = by_count_[0].first();
  if (at == none) {
    at = owners_used_++;
    List<&OwnerRecord::peers>::append(owners_, by_count_[0], at);
  }
  owners_[at].id = owner;
  index_.insert(hash(owner), at);
  return at;
}

// Counts change by one, so when the last owner that has most gives one away, no other can have more
// than what it has left.
void Shares::set_count(std::uint32_t at, std::uint32_t count) {
  List<&OwnerRecord::peers>::remove(owners_, by_count_[owners_[at].count], at);
  List<&OwnerRecord::peers>::append(owners_, by_count_[count], at);
  owners_[at].count = count;
  most_ = std::max(most_, count);
  if (most_ != 0 && by_count_[most_].first() == none) --most_;
}

}  // namespace swnat
