// What the kernel has of members beyond the plan: elements, routes and sysctls.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/kernel/member_book.h"
#include "rules/routes/policy_route.h"

namespace swnat::rules {

// For nft: the elements of all that are there.
std::string members_text(const std::vector<MemberRange>& ranges, const MemberBook& book);
// The ways back to them.
std::vector<FwmarkRoute> members_routes(const std::vector<MemberRange>& ranges,
                                        const MemberBook& book);

// Of those who came: notes in the book what the sysctls of their interfaces are.
void note_originals(const std::vector<MemberRange>& ranges, const std::vector<std::uint32_t>& came,
                    MemberBook& book);
// Then writes them. Throws KernelError.
void write_member_sysctls(const std::vector<std::uint32_t>& came, const MemberBook& book);
// Of one that is no member any more, whose interface has this name now; nothing if it is gone.
void restore_member_sysctls(const Member& member, const std::string& interface);

// All interfaces that are here now. Throws KernelError.
MemberLinks current_links();

}  // namespace swnat::rules
