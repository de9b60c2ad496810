// Lists through the elements of an array.
#pragma once

#include <cstdint>

#include "engine/base/memory.h"
#include "engine/base/ref.h"

namespace swnat {

struct Link {
  Ref next;
  Ref previous;
};

// A circular list without a head: the index knows one member.
template <auto link>
struct Ring;

template <class Element, Link Element::*link>
struct Ring<link> {
  static void start(ReservedArray<Element>& links, Ref ref) { links[ref].*link = {ref, ref}; }

  static void join(ReservedArray<Element>& links, Ref ref, Ref member) {
    const Ref next = (links[member].*link).next;
    links[ref].*link = {next, member};
    (links[member].*link).next = ref;
    (links[next].*link).previous = ref;
  }

  // Another member that stays, or no_ref if `ref` was the last.
  static Ref leave(ReservedArray<Element>& links, Ref ref) {
    const Link own = links[ref].*link;
    if (own.next == ref) return no_ref;
    (links[own.previous].*link).next = own.next;
    (links[own.next].*link).previous = own.previous;
    return own.next;
  }
};

// A list with two ends, through a Link in the elements of any array. References are kept one
// higher, so that zeroed memory is an empty list.
struct ListEnds {
  std::uint32_t first_plus_1 = 0;
  std::uint32_t last_plus_1 = 0;

  Ref first() const { return first_plus_1 - 1; }
  Ref last() const { return last_plus_1 - 1; }
};
static_assert(Ref{0} - 1 == no_ref);

template <auto link>
struct List;

template <class Element, Link Element::*link>
struct List<link> {
  // Behind `before`; no_ref: at the front.
  static void insert_after(ReservedArray<Element>& links, ListEnds& ends, Ref ref, Ref before) {
    const Ref next = before == no_ref ? ends.first() : (links[before].*link).next;
    links[ref].*link = {next, before};
    if (before == no_ref) {
      ends.first_plus_1 = ref + 1;
    } else {
      (links[before].*link).next = ref;
    }
    if (next == no_ref) {
      ends.last_plus_1 = ref + 1;
    } else {
      (links[next].*link).previous = ref;
    }
  }

  static void append(ReservedArray<Element>& links, ListEnds& ends, Ref ref) {
    insert_after(links, ends, ref, ends.last());
  }

  static void remove(ReservedArray<Element>& links, ListEnds& ends, Ref ref) {
    const Link own = links[ref].*link;
    if (own.previous == no_ref) {
      ends.first_plus_1 = own.next + 1;
    } else {
      (links[own.previous].*link).next = own.next;
    }
    if (own.next == no_ref) {
      ends.last_plus_1 = own.previous + 1;
    } else {
      (links[own.next].*link).previous = own.previous;
    }
  }
};

}  // namespace swnat
