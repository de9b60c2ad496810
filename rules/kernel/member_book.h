// Who has which fwmark of the ranges whose members come and go: what follows from the interfaces
// that are there, and nothing else. It asks and tells nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rules/system/sysctl.h"
#include "rules/wanted/member_range.h"

namespace swnat::rules {

struct MemberLink {
  std::string name;
  bool is_up = false;
  bool came_up = false;  // since its routes were made: the kernel takes them when it goes down
};
// All interfaces, by the numbers that the kernel knows them by: an older one has a lower number.
using MemberLinks = std::map<unsigned, MemberLink>;

// Whose a fwmark is, or was last.
struct Member {
  std::string interface;
  unsigned number = 0;  // 0: it is gone
  // Sessions that somebody left under the fwmark: the one that is gone, or whoever had it before
  // this one, whom `up` gave it, which can end none.
  bool has_sessions = false;
  std::uint64_t gone = 0;              // the greater, the later it went
  std::vector<Sysctl> originals = {};  // of the interface, where others were written

  friend bool operator==(const Member&, const Member&) = default;
};
using MemberBook = std::map<std::uint32_t, Member>;  // by fwmark

struct MemberChange {
  std::vector<std::pair<std::uint32_t, Member>> went;  // as they were
  std::vector<std::uint32_t> came;
  std::vector<std::uint32_t> reused;           // of those who came: it was another interface's
  std::map<std::string, std::size_t> waiting;  // by the range's name: interfaces without a fwmark
};

// Whether somebody's sessions may be under a fwmark when it is given again: they end before it is.
enum class Sessions { can_end, cannot_end };

// Brings the book to what interfaces there are. The same name gets the same fwmark as before, as
// long as nobody else needed it; others get the lowest that nobody had, then the one whose owner
// went first. Older interfaces come first.
MemberChange follow_links(const std::vector<MemberRange>& ranges, const MemberLinks& links,
                          Sessions sessions, MemberBook& book);

// What people are told of so many interfaces of a range without a fwmark.
std::string waiting_text(const std::string& range, std::size_t count);

// Members that are there, with their ranges' subnets.
struct PresentMember {
  std::uint32_t fwmark = 0;
  const Member* member = nullptr;
  const MemberRange* range = nullptr;
};
std::vector<PresentMember> present_members(const std::vector<MemberRange>& ranges,
                                           const MemberBook& book);

}  // namespace swnat::rules
