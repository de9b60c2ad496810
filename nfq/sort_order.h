// In which order sessions and mappings are listed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "swnat/mapping_view.h"
#include "swnat/session_view.h"

namespace swnat::nfq {

enum class SortKey : std::uint8_t {
  age,
  idle,
  expires,
  packets,  // of both directions, most first, as are the next two
  bytes,
  sessions,
  namespace_id,
  protocol,
  internal,
  external,
  remote,
  state,
};

struct SortOrder {
  SortKey key = SortKey::idle;
  bool is_reversed = false;

  // What is equal by the key is in order by its namespace and ends, so that no two are.
  bool is_before(const SessionView& a, const SessionView& b) const;
  bool is_before(const MappingView& a, const MappingView& b) const;
};

// By these sessions, and mappings, can be sorted. Throw Error, which says which are allowed.
SortKey session_sort_key(std::string_view text);
SortKey mapping_sort_key(std::string_view text);

// Of what it is given, those that come first in an order, and never more than so many.
template <class View>
class FirstOf {
 public:
  FirstOf(SortOrder order, std::size_t count_max) : order_(order), count_max_(count_max) {}

  void add(const View& view) {
    const auto is_before = before();
    if (kept_.size() == count_max_) {
      if (!is_before(view, kept_.front())) return;
      std::ranges::pop_heap(kept_, is_before);
      kept_.back() = view;
    } else {
      kept_.push_back(view);
    }
    std::ranges::push_heap(kept_, is_before);
  }

  // In order; then it is given nothing any more.
  const std::vector<View>& sort() {
    std::ranges::sort_heap(kept_, before());
    return kept_;
  }

 private:
  auto before() const {
    return [this](const View& a, const View& b) { return order_.is_before(a, b); };
  }

  SortOrder order_;
  std::size_t count_max_;
  std::vector<View> kept_;  // a heap: the last one in order is on top
};

}  // namespace swnat::nfq
