// A priority queue through the elements of any array.
//
// Theory of operation
//
// A pairing heap: a tree of any shape in which no element goes before its parent. Putting one in is
// one comparison, because it goes above or right below the root. The work is left to taking out:
// the root's children are then paired, and the winners joined to one tree again, in amortized
// O(log n). Any element can be taken out, as each knows its parent or its brother before it.
// Nothing recurses, so that a deep tree needs no stack.
#pragma once

#include "engine/base/list.h"
#include "engine/base/memory.h"
#include "engine/base/ref.h"

namespace swnat {

template <auto brothers, auto first_child>
struct PairingHeap;

// `brothers`: the one behind, and the one before, or the parent of a first child. `root` is
// no_ref for an empty heap. `before(a, b)`: whether a has to come out before b.
template <class Element, Link Element::*brothers, Ref Element::*first_child>
struct PairingHeap<brothers, first_child> {
  using Links = ReservedArray<Element>;

  // Both return the new root.
  template <class Before>
  static Ref insert(Links& links, Ref root, Ref ref, Before&& before) {
    links[ref].*brothers = {no_ref, no_ref};
    links[ref].*first_child = no_ref;
    return root == no_ref ? ref : join(links, root, ref, before);
  }

  template <class Before>
  static Ref remove(Links& links, Ref root, Ref ref, Before&& before) {
    const Link own = links[ref].*brothers;
    const Ref orphans = join_all(links, links[ref].*first_child, before);
    if (ref == root) return orphans;
    Element& previous = links[own.previous];
    const bool is_parent = previous.*first_child == ref;
    (is_parent ? previous.*first_child : (previous.*brothers).next) = own.next;
    if (own.next != no_ref) (links[own.next].*brothers).previous = own.previous;
    return orphans == no_ref ? root : join(links, root, orphans, before);
  }

 private:
  // Two trees to one; returns its root. The roots' brothers are left to the caller.
  template <class Before>
  static Ref join(Links& links, Ref a, Ref b, Before& before) {
    const bool is_b_first = before(b, a);
    const Ref parent = is_b_first ? b : a;
    const Ref child = is_b_first ? a : b;
    Ref& first = links[parent].*first_child;
    links[child].*brothers = {first, parent};
    if (first != no_ref) (links[first].*brothers).previous = child;
    first = child;
    return parent;
  }

  // `first` and its brothers to one tree; returns its root, which has no brother.
  template <class Before>
  static Ref join_all(Links& links, Ref first, Before& before) {
    Ref joined = no_ref;  // trees of two each, the last one first, chained by `next`
    while (first != no_ref) {
      Ref tree = first;
      const Ref second = (links[first].*brothers).next;
      if (second == no_ref) {
        first = no_ref;
      } else {
        first = (links[second].*brothers).next;
        tree = join(links, tree, second, before);
      }
      (links[tree].*brothers).next = joined;
      joined = tree;
    }
    if (joined == no_ref) return no_ref;
    Ref rest = (links[joined].*brothers).next;
    while (rest != no_ref) {
      const Ref tree = rest;
      rest = (links[tree].*brothers).next;
      joined = join(links, joined, tree, before);
    }
    (links[joined].*brothers).next = no_ref;
    return joined;
  }
};

}  // namespace swnat
