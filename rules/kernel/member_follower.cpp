#include "rules/kernel/member_follower.h"

#include <algorithm>
#include <memory>
#include <optional>
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

// Sessions may only be left under the fwmark of an interface that had it before.
void MemberFollower::take_over(MemberBook book) {
  std::vector<std::uint32_t> others;
  const auto owner_in = [](const MemberBook& one, std::uint32_t fwmark) {
    const auto found = one.find(fwmark);
    return found == one.end() ? 0 : found->second.number;
  };
  for (const std::uint32_t fwmark : member_fwmarks(ranges_)) {
    const unsigned is = owner_in(book, fwmark);
    const unsigned was = owner_in(book_, fwmark);
    if (has_begun_ ? was != 0 && was != is : is == 0) others.push_back(fwmark);
  }
  book_ = std::move(book);
  end_sessions(std::move(others));
  has_begun_ = true;
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
  if (ranges_.empty()) return Outcome::same_as_before;
  const auto store = MemberStore::try_to_lock(control_socket_);
  if (!store) {
    must_refill_ = must_refill_ || is_new_record;
    return Outcome::busy;
  }
  const bool is_newer_record = read_record();
  if (ranges_.empty()) {
    store->remove();  // `down` was faster
    return Outcome::same_as_before;
  }
  const bool is_new_book = !has_begun_ || store->version() != book_version_;
  must_refill_ = must_refill_ || is_new_record || is_newer_record || is_new_book;
  if (!is_changed && !must_refill_ && !is_unfinished_) return Outcome::same_as_before;
  is_unfinished_ = true;
  if (is_new_book) take_over(store->load());
  change_members(links, *store);
  return Outcome::done;
}

void MemberFollower::change_members(MemberLinks& links, const MemberStore& store) {
  const MemberChange change = follow_links(ranges_, links, Sessions::can_end, book_);
  waiting_ = change.waiting;
  end_sessions(change.reused);
  if (!change.came.empty() || !change.went.empty()) {
    note_originals(ranges_, change.came, book_);
    store.save(book_);
  }
  make(change, links);
  const bool has_routes = make_routes(links);
  change_sets(change);
  std::vector<std::uint32_t> left;
  for (const auto& [fwmark, member] : change.went) {
    if (book_[fwmark].number == 0) left.push_back(fwmark);
  }
  end_sessions(left);
  if (!left.empty()) store.save(book_);
  book_version_ = store.version();
  is_unfinished_ = !has_routes;
}

// What an interface that is still there had as a member goes; who came gets its sysctls.
void MemberFollower::make(const MemberChange& change, const MemberLinks& links) {
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
  write_member_sysctls(change.came, book_);
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
