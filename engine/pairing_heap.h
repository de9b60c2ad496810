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

#include "engine/memory.h"
#include "engine/session.h"

namespace swnat {

struct HeapLink {
  SessionRef child;     // the first one
  SessionRef next;      // the brother behind
  SessionRef previous;  // the brother before, or the parent of a first child
};

template <auto link>
struct PairingHeap;

// `root` is no_session for an empty heap. `before(a, b)`: whether a has to come out before b.
template <class Element, HeapLink Element::*link>
struct PairingHeap<link> {
  using Links = ReservedArray<Element>;

  // Both return the new root.
  template <class Before>
  static SessionRef insert(Links& links, SessionRef root, SessionRef ref, Before&& before) {
    links[ref].*link = {no_session, no_session, no_session};
    return root == no_session ? ref : join(links, root, ref, before);
  }

  template <class Before>
  static SessionRef remove(Links& links, SessionRef root, SessionRef ref, Before&& before) {
    const HeapLink own = links[ref].*link;
    const SessionRef orphans = join_all(links, own.child, before);
    if (ref == root) return orphans;
    HeapLink& previous = links[own.previous].*link;
    (previous.child == ref ? previous.child : previous.next) = own.next;
    if (own.next != no_session) (links[own.next].*link).previous = own.previous;
    return orphans == no_session ? root : join(links, root, orphans, before);
  }

 private:
  // Two trees to one; returns its root. The roots' brothers are left to the caller.
  template <class Before>
  static SessionRef join(Links& links, SessionRef a, SessionRef b, Before& before) {
    const bool is_b_first = before(b, a);
    const SessionRef parent = is_b_first ? b : a;
    const SessionRef child = is_b_first ? a : b;
    HeapLink& above = links[parent].*link;
    HeapLink& below = links[child].*link;
    below.next = above.child;
    below.previous = parent;
    if (above.child != no_session) (links[above.child].*link).previous = child;
    above.child = child;
    return parent;
  }

  // `first` and its brothers to one tree; returns its root, which has no brother.
  template <class Before>
  static SessionRef join_all(Links& links, SessionRef first, Before& before) {
    SessionRef joined = no_session;  // trees of two each, the last one first, chained by `next`
    while (first != no_session) {
      SessionRef tree = first;
      const SessionRef second = (links[first].*link).next;
      if (second == no_session) {
        first = no_session;
      } else {
        first = (links[second].*link).next;
        tree = join(links, tree, second, before);
      }
      (links[tree].*link).next = joined;
      joined = tree;
    }
    if (joined == no_session) return no_session;
    SessionRef rest = (links[joined].*link).next;
    while (rest != no_session) {
      const SessionRef tree = rest;
      rest = (links[tree].*link).next;
      joined = join(links, joined, tree, before);
    }
    (links[joined].*link).next = no_session;
    return joined;
  }
};

}  // namespace swnat
