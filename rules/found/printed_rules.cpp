#include "rules/found/printed_rules.h"

#include <iterator>

#include "rules/found/operators_rules.h"
#include "rules/iptables/chains.h"
#include "rules/routes/policy_route.h"
#include "rules/system/process.h"
#include "rules/wanted/family.h"

namespace swnat::rules {

PrintedRules printed_rules(const Config& config) {
  PrintedRules printed;
  if (has_program("nft")) printed.nft = run({"nft", "-t", "-j", "list", "ruleset"}).output;
  for (std::size_t i = 0; i < std::size(all_families); ++i) {
    const Family family = all_families[i];
    const std::string program = iptables_program(family, "-save");
    if (has_program(program)) printed.iptables[i] = run({program}).output;
    if (!needs_operators_rules(config)) continue;
    printed.routing[i] =
        run({"ip", std::string(ip_option(family)), "-N", "-json", "rule", "show"}).output;
  }
  return printed;
}

}  // namespace swnat::rules
