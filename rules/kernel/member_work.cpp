#include "rules/kernel/member_work.h"

#include <fmt/format.h>

#include <utility>

#include "rules/nft/member_elements.h"
#include "rules/system/interfaces.h"

namespace swnat::rules {
namespace {

// As for other tenants (plan.cpp).
constexpr std::pair<const char*, const char*> member_sysctls[] = {
    {"rp_filter", "2"}, {"accept_local", "1"}, {"forwarding", "1"}};

std::string sysctl_path(const std::string& interface, const std::string& name) {
  return fmt::format("net/ipv4/conf/{}/{}", interface, name);
}

}  // namespace

std::string members_text(const std::vector<MemberRange>& ranges, const MemberBook& book) {
  std::vector<MemberElement> all;
  for (const PresentMember& each : present_members(ranges, book)) {
    all.push_back({each.member->number, each.fwmark});
  }
  return nft_add_members(all);
}

std::vector<FwmarkRoute> members_routes(const std::vector<MemberRange>& ranges,
                                        const MemberBook& book) {
  std::vector<FwmarkRoute> all;
  for (const PresentMember& each : present_members(ranges, book)) {
    for (FwmarkRoute& route :
         member_routes(each.range->subnets, each.fwmark, each.member->interface)) {
      all.push_back(std::move(route));
    }
  }
  return all;
}

void note_originals(const std::vector<MemberRange>& ranges, const std::vector<std::uint32_t>& came,
                    MemberBook& book) {
  for (const std::uint32_t fwmark : came) {
    Member& member = book.at(fwmark);
    const MemberRange* range = range_matching(ranges, member.interface);
    if (range == nullptr || !range->has_ipv4) continue;
    for (const auto& [name, value] : member_sysctls) {
      const auto original = read_sysctl(sysctl_path(member.interface, name));
      if (original && original != value) member.originals.push_back({name, *original});
    }
  }
}

void write_member_sysctls(const std::vector<std::uint32_t>& came, const MemberBook& book) {
  for (const std::uint32_t fwmark : came) {
    const Member& member = book.at(fwmark);
    for (const Sysctl& original : member.originals) {
      for (const auto& [name, value] : member_sysctls) {
        if (original.name != name) continue;
        write_sysctl_if_there({sysctl_path(member.interface, name), value});
      }
    }
  }
}

void restore_member_sysctls(const Member& member, const std::string& interface) {
  for (const Sysctl& each : member.originals) {
    write_sysctl_if_there({sysctl_path(interface, each.name), each.value});
  }
}

MemberLinks current_links() {
  MemberLinks links;
  list_links([&] { links.clear(); },
             [&](const Link& link) {
               links[link.number] = {link.name, link.is_up, true};
             });
  return links;
}

}  // namespace swnat::rules
