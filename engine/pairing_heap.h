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

#include "engine/links.h"
#include "engine/memory.h"
#include "engine/session.h"

namespace swnat {

template <auto brothers, auto first_child>
struct PairingHeap;

// `brothers`: the one behind, and the one before, or the parent of a first child. `root` is
// no_session for an empty heap. `before(a, b)`: whether a has to come out before b.
template <class Element, Link Element::*brothers, SessionRef Element::*first_child>
struct PairingHeap<brothers, first_child> {
  using Links = ReservedArray<Element>;

  // Both return the new root.
  template <class Before>
  static SessionRef insert(Links& links, SessionRef root, SessionRef ref, Before&& before) {
    links[ref].*brothers = {no_session, no_session};
    links[ref].*first_child = no_session;
    return root == no_session ? ref : join(links, root, ref, before);
  }

  template <class Before>
  static SessionRef remove(Links& links, SessionRef root, SessionRef ref, Before&& before) {
    const Link own = links[ref].*brothers;
    const SessionRef orphans = join_all(links, links[ref].*first_child, before);
    if (ref == root) return orphans;
    Element& previous = links[own.previous];
    const bool is_parent = previous.*first_child == ref;
    (is_parent ? previous.*first_child : (previous.*brothers).next) = own.next;
    if (own.next != no_session) (links[own.next].*brothers).previous = own.previous;
    return orphans == no_session ? root : join(links, root, orphans, before);
  }

 private:
  // Two trees to one; returns its root. The roots' brothers are left to the caller.
  template <class Before>
  static SessionRef join(Links& links, SessionRef a, SessionRef b, Before& before) {
    const bool is_b_first = before(b, a);
    const SessionRef parent = is_b_first ? b : a;
    const SessionRef child = is_b_first ? a : b;
    SessionRef& first = links[parent].*first_child;
    links[child].*brothers = {first, parent};
    if (first != no_session) (links[first].*brothers).previous = child;
    first = child;
    return parent;
  }

  // `first` and its brothers to one tree; returns its root, which has no brother.
  template <class Before>
  static SessionRef join_all(Links& links, SessionRef first, Before& before) {
    SessionRef joined = no_session;  // trees of two each, the last one first, chained by `next`
    while (first != no_session) {
      SessionRef tree = first;
      const SessionRef second = (links[first].*brothers).next;
      if (second == no_session) {
        first = no_session;
      } else {
        first = (links[second].*brothers).next;
        tree = join(links, tree, second, before);
      }
      (links[tree].*brothers).next = joined;
      joined = tree;
    }
    if (joined == no_session) return no_session;
    SessionRef rest = (links[joined].*brothers).next;
    while (rest != no_session) {
      const SessionRef tree = rest;
      rest = (links[tree].*brothers).next;
      joined = join(links, joined, tree, before);
    }
    (links[joined].*brothers).next = no_session;
    return joined;
  }
};

}  // namespace swnat
