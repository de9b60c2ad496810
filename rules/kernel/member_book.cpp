#include "rules/kernel/member_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "rules/text/lines.h"

namespace swnat::rules {
namespace {

const MemberRange* range_with(const std::vector<MemberRange>& ranges, std::uint32_t fwmark) {
  const auto found =
      std::ranges::find_if(ranges, [&](const MemberRange& range) { return range.has(fwmark); });
  return found == ranges.end() ? nullptr : &*found;
}

// Fwmarks of one range that nobody has now.
class FreeFwmarks {
 public:
  FreeFwmarks(const MemberRange& range, Sessions sessions, const MemberBook& book) {
    for (const NamespaceRange& piece : range.fwmarks) {
      for (std::uint32_t fwmark = piece.first; fwmark <= piece.last; ++fwmark) {
        const auto found = book.find(fwmark);
        if (found == book.end()) {
          never_had_.insert(fwmark);
        } else if (found->second.number == 0) {
          if (found->second.has_sessions && sessions == Sessions::cannot_end) continue;
          by_going_.emplace(found->second.gone, fwmark);
          of_names_.emplace(found->second.interface, fwmark);
        }
      }
    }
  }

  std::optional<std::uint32_t> take_own(const std::string& interface, const MemberBook& book) {
    const auto found = of_names_.find(interface);
    if (found == of_names_.end()) return std::nullopt;
    const std::uint32_t fwmark = found->second;
    by_going_.erase({book.at(fwmark).gone, fwmark});
    of_names_.erase(found);
    return fwmark;
  }

  std::optional<std::uint32_t> take_any() {
    if (!never_had_.empty()) return never_had_.extract(never_had_.begin()).value();
    if (!by_going_.empty()) return by_going_.extract(by_going_.begin()).value().second;
    return std::nullopt;
  }

 private:
  std::set<std::uint32_t> never_had_;
  std::set<std::pair<std::uint64_t, std::uint32_t>> by_going_;
  std::map<std::string, std::uint32_t> of_names_;
};

bool is_still_there(const std::vector<MemberRange>& ranges, const MemberLinks& links,
                    std::uint32_t fwmark, const Member& member) {
  const auto link = links.find(member.number);
  if (link == links.end() || link->second.name != member.interface) return false;
  const MemberRange* range = range_matching(ranges, member.interface);
  return range != nullptr && range->has(fwmark);
}

void let_go(const std::vector<MemberRange>& ranges, const MemberLinks& links, Sessions sessions,
            MemberBook& book, MemberChange& change) {
  std::uint64_t last = 0;
  for (const auto& [fwmark, member] : book) last = std::max(last, member.gone);
  std::erase_if(book, [&](const auto& each) {
    const Member& member = each.second;
    const bool is_needed = member.has_sessions && sessions == Sessions::cannot_end;
    return member.number == 0 && !is_needed && range_with(ranges, each.first) == nullptr;
  });
  for (auto& [fwmark, member] : book) {
    if (member.number == 0 || is_still_there(ranges, links, fwmark, member)) continue;
    change.went.emplace_back(fwmark, member);
    member.number = 0;
    member.has_sessions = true;
    member.gone = ++last;
    member.originals.clear();
  }
}

}  // namespace

MemberChange follow_links(const std::vector<MemberRange>& ranges, const MemberLinks& links,
                          Sessions sessions, MemberBook& book) {
  MemberChange change;
  let_go(ranges, links, sessions, book, change);
  std::set<unsigned> served;
  for (const auto& [fwmark, member] : book) {
    if (member.number != 0) served.insert(member.number);
  }
  std::map<const MemberRange*, std::vector<MemberLinks::const_iterator>> unserved;
  for (auto link = links.begin(); link != links.end(); ++link) {
    if (served.contains(link->first)) continue;
    const MemberRange* range = range_matching(ranges, link->second.name);
    if (range != nullptr) unserved[range].push_back(link);
  }
  for (const auto& [range, newcomers] : unserved) {
    FreeFwmarks fwmarks(*range, sessions, book);
    const auto give = [&](std::uint32_t fwmark, const MemberLinks::value_type& link) {
      if (book.contains(fwmark)) change.reused.push_back(fwmark);
      change.came.push_back(fwmark);
      book[fwmark] = {.interface = link.second.name,
                      .number = link.first,
                      .has_sessions = sessions == Sessions::cannot_end};
    };
    std::vector<MemberLinks::const_iterator> others;
    for (const auto& link : newcomers) {
      const auto own = fwmarks.take_own(link->second.name, book);
      own ? give(*own, *link) : others.push_back(link);
    }
    for (const auto& link : others) {
      const auto any = fwmarks.take_any();
      any ? give(*any, *link) : void(++change.waiting[range->name]);
    }
  }
  return change;
}

std::string waiting_text(const std::string& range, std::size_t count) {
  return fmt::format(
      "namespace \"{}\" has no fwmark left for {}: what {} send{} is dropped until one is free",
      range, counted(count, "interface"), count == 1 ? "it" : "they", count == 1 ? "s" : "");
}

std::vector<PresentMember> present_members(const std::vector<MemberRange>& ranges,
                                           const MemberBook& book) {
  std::vector<PresentMember> all;
  for (const auto& [fwmark, member] : book) {
    if (member.number == 0) continue;
    const MemberRange* range = range_with(ranges, fwmark);
    if (range != nullptr) all.push_back({fwmark, &member, range});
  }
  return all;
}

}  // namespace swnat::rules
