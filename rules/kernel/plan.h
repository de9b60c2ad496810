// All that the kernel must be told for one configuration. What is printed and what is applied both
// come from here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/iptables/text.h"
#include "rules/kernel/kernel.h"
#include "rules/routes/policy_route.h"
#include "rules/system/sysctl.h"
#include "rules/text/digest.h"
#include "rules/wanted/member_range.h"

namespace swnat::rules {

// Rules and routes: what can be put into the kernel, compared, and taken out again.
struct Layout {
  std::string nft;                      // for `nft -f -`
  std::vector<IptablesTable> iptables;  // empty with Format::nft
  PolicyRouting routing;
  std::vector<MemberRange> members;  // who comes and goes with interfaces, of whom it has no more
};

struct Plan {
  Layout layout;
  std::vector<RemovedTenant> removed;
  WantedSysctls sysctls;
};
// `format` is nft or iptables.
Plan make_plan(const Config& config, Format format, const std::vector<RemovedTenant>& removed = {});

// All that it asks of the kernel, apart from removed tenants.
void add_to(Digest& digest, const Plan& plan);

}  // namespace swnat::rules
