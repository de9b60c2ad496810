// What each of several owners has of a fixed number of items, and whose item has to go when there
// is no more room.
//
// Theory of operation
//
// An item is a number below the greatest number of them; what it stands for is its user's. Every
// item is in two lists by age: its owner's, and that of all. The owners that have anything are in
// one list for each number of items that they have, and `most_` is the greatest such number: it
// changes by one at a time, as counts do, so all is done in constant time. An owner's record exists
// as long as it has an item, so there are never more of them than items.
//
// Room is made by two rules. An owner that has its full share gives its own oldest item. If all
// shares together are taken, the owner that has most gives its oldest: the newcomer itself if
// nobody has more, else of several the one that came to that number first. So nobody loses an item
// to an owner that has as many or more, whatever that one does, and an owner never loses any while
// all owners together stay within the whole.
#pragma once

#include <cstdint>

#include "engine/base/hash.h"
#include "engine/base/index.h"
#include "engine/base/list.h"
#include "engine/base/memory.h"

namespace swnat {

// Each at least 1.
struct ShareLimits {
  std::uint32_t all = 1;   // items of all owners together
  std::uint32_t each = 1;  // items of one owner
};

// Not thread-safe. Allocates nothing after construction, and memory is touched as items are used.
class Shares {
 public:
  using Item = Ref;
  using Owner = std::uint64_t;
  static constexpr Item none = no_ref;

  // Items are numbers below `items`, which is at least limits.all.
  Shares(std::uint32_t items, const ShareLimits& limits);

  // What such an object reserves.
  static std::size_t memory_size(std::uint32_t items, const ShareLimits& limits);

  void populate() {
    items_.populate();
    owners_.populate();
    by_count_.populate();
    index_.populate();
  }

  // Which item has to go before the owner may add one; none if there is room.
  Item displaced_by(Owner owner) const;

  // The item, which nobody has, becomes the owner's newest. Only while nothing has to go for it.
  void add(Item item, Owner owner);
  void remove(Item item);
  // The item becomes the newest again.
  void renew(Item item);

  std::uint32_t count() const { return count_; }
  std::uint32_t count(Owner owner) const;
  // Or none.
  Item oldest() const { return by_age_.first(); }
  Item oldest(Owner owner) const;

 private:
  struct ItemLinks {
    Link age;    // all items, oldest first
    Link owned;  // the owner's items, oldest first
    std::uint32_t owner;
  };

  struct OwnerRecord {
    Owner id;
    ListEnds items;
    std::uint32_t count;
    Link peers;  // owners that have as many items
  };

  static std::uint64_t hash(Owner owner) { return fold_multiply(owner, 0x9e37'79b9'7f4a'7c15); }

  // Place in owners_, or none.
  std::uint32_t find(Owner owner) const {
    return index_.find(hash(owner), [&](std::uint32_t at) { return owners_[at].id == owner; });
  }
  std::uint32_t make(Owner owner);
  void set_count(std::uint32_t at, std::uint32_t count);

  ShareLimits limits_;
  ReservedArray<ItemLinks> items_;
  ReservedArray<OwnerRecord> owners_;
  ReservedArray<ListEnds> by_count_;  // of owners; [0] are the free records
  Index index_;                       // of owners by id
  ListEnds by_age_;
  std::uint32_t count_ = 0;
  std::uint32_t most_ = 0;
  std::uint32_t owners_used_ = 0;  // records at or beyond this place were never used
};

}  // namespace swnat
