// What an inspection expects of members (member_book.h), of whom some come and go meanwhile.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "rules/kernel/member_store.h"
#include "rules/routes/policy_route.h"
#include "rules/system/interfaces.h"

namespace swnat::rules {

struct MemberView {
  std::vector<FwmarkRoute> routes;   // that must be there
  std::vector<FwmarkRoute> perhaps;  // that may be: their members came, went or were down
  bool do_sets_differ = false;
};

// Somebody looks at the kernel between the making of one and its view().
class MemberLook {
 public:
  // Without ranges it does nothing. Waits for a change of members that is under way. Throws
  // KernelError, as view() does.
  MemberLook(const std::vector<MemberRange>& ranges, const std::string& control_socket);
  MemberView view() const;

 private:
  const std::vector<MemberRange>& ranges_;
  std::string control_socket_;
  MemberBook before_;
  Interfaces interfaces_;
};

// For who has them locked, so that nothing changes meanwhile.
MemberView locked_view(const std::vector<MemberRange>& ranges, const MemberBook& book,
                       const Interfaces& interfaces);

}  // namespace swnat::rules
