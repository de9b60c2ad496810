// Makes interfaces members of ranges when they come, and ends it when they go, as long as the
// daemon runs.
//
// Theory of operation
//
// The record of the last completed `up` says which ranges there are; without one there is nothing
// to do. A change is made in this order: sessions of who had a fwmark before end; the book is
// written (member_store.h); sysctls and routes are there; and last, in one transaction of nft,
// those who went are taken out of the sets and those who came put in. Until then the interface is
// blocked by the rules of `up`. What it costs does not grow with the members that are there, but
// for the book's few bytes of each.
//
// Sessions of who went end as soon as the sets are without it, and once more before its fwmark is
// given again, since packets may have waited in a queue.
//
// What somebody else does to the sets, the routes or the book (`up`, a repair) is known by the
// versions of the two files; what cannot be done is done again with the next look.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "rules/kernel/member_book.h"
#include "rules/kernel/member_store.h"

namespace swnat::rules {

class MemberFollower {
 public:
  // Ends all sessions of these fwmarks, sorted.
  using EndSessions = std::function<void(const std::vector<std::uint32_t>& fwmarks)>;

  MemberFollower(std::string control_socket, EndSessions end)
      : control_socket_(std::move(control_socket)), end_(std::move(end)) {}

  // Brings the kernel to the interfaces that there are, as far as it can; notes in `links` whose
  // routes are made. `busy` where `up`, `down` or a repair is at work, so that nothing was done.
  // `is_changed` says that the links are not those of the last call. Throws KernelError.
  enum class Outcome { busy, same_as_before, done };
  Outcome follow(MemberLinks& links, bool is_changed);

  // Who is there: interfaces by fwmark.
  std::map<std::uint32_t, std::string> interfaces() const;
  // Interfaces that find no fwmark free, by the range's name.
  const std::map<std::string, std::size_t>& waiting() const { return waiting_; }

 private:
  bool read_record();
  void take_over(MemberBook book);
  void change_members(MemberLinks& links, const MemberStore& store);
  void end_sessions(std::vector<std::uint32_t> fwmarks);
  Outcome let_all_go();
  void undo(const MemberChange& change, const MemberLinks& links) const;
  std::vector<std::uint32_t> present_fwmarks() const;
  void change_sets(const MemberChange& change);
  bool make_routes(MemberLinks& links) const;

  std::string control_socket_;
  EndSessions end_;
  std::string record_version_;
  std::vector<MemberRange> ranges_;
  std::string book_version_;
  MemberBook book_;
  bool has_begun_ = false;   // sessions under fwmarks of nobody's are ended
  bool must_refill_ = true;  // the sets may not be what the book says
  bool must_save_ = false;   // what the file says of sessions is not so any more
  bool is_unfinished_ = false;
  std::map<std::string, std::size_t> waiting_;
};

}  // namespace swnat::rules
