#include "rules/kernel/member_view.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "rules/kernel/member_work.h"
#include "rules/nft/elements.h"
#include "rules/nft/member_elements.h"

namespace swnat::rules {
namespace {

// The numbers tell who is there; the other sets have one element for each of them.
bool sets_differ(const std::vector<MemberRange>& ranges, const MemberBook& book) {
  std::vector<unsigned> numbers;
  for (const PresentMember& each : present_members(ranges, book)) {
    numbers.push_back(each.member->number);
  }
  std::ranges::sort(numbers);
  NetlinkSocket netfilter(NETLINK_NETFILTER);
  if (listed_members(netfilter) != numbers) return true;
  const auto has_all = [&](const char* set) {
    return number_keys(netfilter, set).size() == numbers.size();
  };
  return !has_all("member_owners") || !has_all("member_zones");
}

void add_routes(const std::vector<MemberRange>& ranges, const MemberBook& book,
                std::vector<FwmarkRoute>& routes) {
  for (FwmarkRoute& each : members_routes(ranges, book)) routes.push_back(std::move(each));
}

// Those whose interface is up; of others the kernel has no route, or not for long.
MemberBook those_up(const MemberBook& book, const Interfaces& interfaces) {
  MemberBook some = book;
  std::erase_if(some, [&](const auto& each) {
    const auto number = interfaces.numbers.find(each.second.interface);
    return number == interfaces.numbers.end() || number->second != each.second.number ||
           !interfaces.has_up(each.second.interface);
  });
  return some;
}

}  // namespace

MemberLook::MemberLook(const std::vector<MemberRange>& ranges, const std::string& control_socket)
    : ranges_(ranges), control_socket_(control_socket) {
  if (ranges_.empty()) return;
  interfaces_ = current_interfaces();
  // Who follows them has then made the routes of those that came up just now.
  constexpr std::chrono::milliseconds settling{100};
  std::this_thread::sleep_for(settling);
  before_ = MemberStore(control_socket_).load();
}

MemberView MemberLook::view() const {
  if (ranges_.empty()) return {};
  MemberBook after;
  MemberView seen;
  {
    const MemberStore store(control_socket_);
    after = store.load();
    seen.do_sets_differ = sets_differ(ranges_, after);
  }
  add_routes(ranges_, before_, seen.perhaps);
  add_routes(ranges_, after, seen.perhaps);
  MemberBook sure = those_up(those_up(after, interfaces_), current_interfaces());
  std::erase_if(sure, [&](const auto& each) {
    const auto found = before_.find(each.first);
    return found == before_.end() || found->second.number != each.second.number;
  });
  add_routes(ranges_, sure, seen.routes);
  return seen;
}

MemberView locked_view(const std::vector<MemberRange>& ranges, const MemberBook& book,
                       const Interfaces& interfaces) {
  if (ranges.empty()) return {};
  MemberView seen;
  seen.do_sets_differ = sets_differ(ranges, book);
  add_routes(ranges, book, seen.perhaps);
  add_routes(ranges, those_up(book, interfaces), seen.routes);
  return seen;
}

}  // namespace swnat::rules
