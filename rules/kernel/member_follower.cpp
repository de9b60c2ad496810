#include "rules/kernel/member_follower.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "rules/kernel/member_store.h"
#include "rules/kernel/member_work.h"
#include "rules/kernel/record.h"
#include "rules/nft/member_elements.h"
#include "rules/system/process.h"

namespace swnat::rules {
namespace {

// A link whose number a member had, under another name now or out of its range; null if it is gone.
const MemberLink* link_left(const MemberLinks& links, const Member& member) {
  const auto found = links.find(member.number);
  return found == links.end() ? nullptr : &found->second;
}

std::vector<MemberElement> elements_of(
    const std::vector<std::pair<std::uint32_t, Member>>& members) {
  std::vector<MemberElement> all;
  for (const auto& [fwmark, member] : members) all.push_back({member.number, fwmark});
  return all;
}

}  // namespace

// Whether it is another one than at the last call.
bool MemberFollower::read_record() {
  std::string version = file_version(record_path(control_socket_));
  if (version == record_version_) return false;
  const std::optional<Record> record = record_beside(control_socket_);
  ranges_ = record && record->layout ? record->layout->members : std::vector<MemberRange>{};
  record_version_ = std::move(version);
  return true;
}

// Sessions may only be left under the fwmark of an interface that had it before, also where a
// fwmark is no member's any more.
void MemberFollower::take_over(MemberBook book) {
  std::set<std::uint32_t> all;
  for (const std::uint32_t fwmark : member_fwmarks(ranges_)) all.insert(fwmark);
  for (const MemberBook* each : {&book, &book_}) {
    for (const auto& [fwmark, member] : *each) all.insert(fwmark);
  }
  const auto is_member = [&](std::uint32_t fwmark) {
    return std::ranges::any_of(ranges_, [=](const auto& range) { return range.has(fwmark); });
  };
  const auto owner_in = [](const MemberBook& one, std::uint32_t fwmark) {
    const auto found = one.find(fwmark);
    return found == one.end() ? Member{} : found->second;
  };
  std::vector<std::uint32_t> others;
  for (const std::uint32_t fwmark : all) {
    const Member is = owner_in(book, fwmark);
    const unsigned number = is_member(fwmark) ? is.number : 0;
    const unsigned was = owner_in(book_, fwmark).number;
    const bool is_anothers = has_begun_ ? was != 0 && was != number : number == 0;
    if (is_anothers || is.has_sessions) others.push_back(fwmark);
  }
  book_ = std::move(book);
  must_save_ = !others.empty();
  end_sessions(std::move(others));
  has_begun_ = true;
}

// Without ranges there are no members: `down` was here, or nothing was applied yet.
MemberFollower::Outcome MemberFollower::let_all_go() {
  if (book_.empty()) return Outcome::same_as_before;
  std::vector<std::uint32_t> all;
  for (const auto& [fwmark, member] : book_) all.push_back(fwmark);
  end_sessions(std::move(all));
  book_.clear();
  waiting_.clear();
  has_begun_ = false;
  return Outcome::done;
}

void MemberFollower::end_sessions(std::vector<std::uint32_t> fwmarks) {
  if (fwmarks.empty()) return;
  std::ranges::sort(fwmarks);
  end_(fwmarks);
  for (const std::uint32_t fwmark : fwmarks) {
    if (const auto found = book_.find(fwmark); found != book_.end()) {
      found->second.has_sessions = false;
    }
  }
}

MemberFollower::Outcome MemberFollower::follow(MemberLinks& links, bool is_changed) {
  const bool is_new_record = read_record();
  if (ranges_.empty()) return let_all_go();
  const auto store = MemberStore::try_to_lock(control_socket_);
  if (!store) {
    must_refill_ = must_refill_ || is_new_record;
    return Outcome::busy;
  }
  const bool is_newer_record = read_record();
  if (ranges_.empty()) {
    store->remove();  // `down` was faster
    return let_all_go();
  }
  const bool is_new_book = !has_begun_ || store->version() != book_version_;
  must_refill_ = must_refill_ || is_new_record || is_newer_record || is_new_book;
  if (!is_changed && !must_refill_ && !is_unfinished_) return Outcome::same_as_before;
  is_unfinished_ = true;
  if (is_new_book) take_over(store->load());
  change_members(links, *store);
  return Outcome::done;
}

// What fails before the book is saved is as if it had not been tried; afterwards the next call
// finds another version of it than its own, and makes everything anew.
void MemberFollower::change_members(MemberLinks& links, const MemberStore& store) {
  MemberBook next = book_;
  const MemberChange change = follow_links(ranges_, links, Sessions::can_end, next);
  end_sessions(change.reused);
  // First: the interface may be a member by another name now.
  undo(change, links);
  if (!change.came.empty() || !change.went.empty() || must_save_) {
    note_originals(ranges_, change.came, next);
    store.save(next);
    must_save_ = false;
  }
  book_ = std::move(next);
  waiting_ = change.waiting;
  write_member_sysctls(must_refill_ ? present_fwmarks() : change.came, book_);
  const bool has_routes = make_routes(links);
  change_sets(change);
  // Also of those whose fwmark has another one already: until now they could send.
  std::vector<std::uint32_t> left;
  for (const auto& [fwmark, member] : change.went) left.push_back(fwmark);
  end_sessions(left);
  if (!left.empty()) store.save(book_);
  book_version_ = store.version();
  is_unfinished_ = !has_routes;
}

std::vector<std::uint32_t> MemberFollower::present_fwmarks() const {
  std::vector<std::uint32_t> all;
  for (const PresentMember& each : present_members(ranges_, book_)) all.push_back(each.fwmark);
  return all;
}

// What an interface that is still there had as a member goes.
void MemberFollower::undo(const MemberChange& change, const MemberLinks& links) const {
  for (const auto& [fwmark, member] : change.went) {
    const MemberLink* link = link_left(links, member);
    if (link == nullptr) continue;
    restore_member_sysctls(member, link->name);
    Interfaces interfaces;
    interfaces.numbers[member.interface] = member.number;
    for (const MemberRange& range : ranges_) {
      if (!range.has(fwmark)) continue;
      change_routes(member_routes(range.subnets, fwmark, member.interface), true, interfaces);
    }
  }
}

// Of interfaces that came, or came up again. False if some could not be made.
bool MemberFollower::make_routes(MemberLinks& links) const {
  std::vector<FwmarkRoute> routes;
  std::vector<MemberLink*> owners;  // of each route
  Interfaces interfaces;
  for (const PresentMember& each : present_members(ranges_, book_)) {
    const auto link = links.find(each.member->number);
    if (link == links.end() || !link->second.is_up || !link->second.came_up) continue;
    link->second.came_up = false;
    interfaces.numbers[each.member->interface] = each.member->number;
    for (FwmarkRoute& route :
         member_routes(each.range->subnets, each.fwmark, each.member->interface)) {
      routes.push_back(std::move(route));
      owners.push_back(&link->second);
    }
  }
  if (routes.empty()) return true;
  const std::vector<std::size_t> failed = change_routes(routes, false, interfaces);
  for (const std::size_t each : failed) owners[each]->came_up = true;
  return failed.empty();
}

void MemberFollower::change_sets(const MemberChange& change) {
  if (!must_refill_) {
    std::vector<MemberElement> came;
    for (const std::uint32_t fwmark : change.came) came.push_back({book_[fwmark].number, fwmark});
    const std::string text = nft_delete_members(elements_of(change.went)) + nft_add_members(came);
    if (text.empty()) return;
    must_refill_ = run({"nft", "-f", "-"}, text).exit_code != 0;
    if (!must_refill_) return;
  }
  run_or_throw({"nft", "-f", "-"},
               nft_flush_members(member_fwmarks(ranges_)) + members_text(ranges_, book_));
  must_refill_ = false;
}

std::map<std::uint32_t, std::string> MemberFollower::interfaces() const {
  std::map<std::uint32_t, std::string> all;
  for (const PresentMember& each : present_members(ranges_, book_)) {
    all[each.fwmark] = each.member->interface;
  }
  return all;
}

}  // namespace swnat::rules
