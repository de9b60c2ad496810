// Whether the kernel still has what the last completed `up` left there, and putting back what went.
//
// Theory of operation
//
// The record (record.h) has what `up` made: the texts that it applied, and how the kernel listed
// them right afterwards. An inspection lists again and compares. What differs in the kernel alone
// can be repaired, by the same steps as those of `up` and under the same lock; what the record
// itself says (another configuration, an `up` that was not completed, no record) is only told.
//
// What depends on an interface that is not there, or is down, is no difference: the kernel cannot
// have it. It is noted, and is missed again as soon as the interface is back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/found/listing.h"
#include "rules/kernel/member_view.h"
#include "rules/kernel/record.h"
#include "rules/system/interfaces.h"

namespace swnat::rules {

enum class RuleState { as_configured, differ, missing };

struct Inspection {
  RuleState state = RuleState::missing;
  std::vector<std::string> differences;  // a short line each, worst first
  std::vector<std::string> notes;        // what is no difference, but worth to be told
  bool is_repairable = false;            // whether repair() could do something about it
  bool has_record = false;
};

// What the kernel lacks, or has too much, by the kind of step that puts it right.
struct Differences {
  std::vector<std::string> nft;
  std::vector<std::string> iptables;
  std::vector<std::string> rules;
  std::vector<std::string> routes;
  std::vector<std::string> sysctls;

  bool any() const {
    return !nft.empty() || !iptables.empty() || !rules.empty() || !routes.empty() ||
           !sysctls.empty();
  }
};

class Inspector {
 public:
  explicit Inspector(std::shared_ptr<const Config> config);

  // Nothing while `up` or `down` is at work. `generation` is the number that the kernel gives to
  // its nftables rules as a whole, as read before: the same as at the last call saves listing them
  // again. Throws KernelError.
  std::optional<Inspection> inspect(std::optional<std::uint32_t> generation = std::nullopt);

  // Brings back what the record says, as far as interfaces are there and up, and tells what: "nft
  // table inet swnat", "3 ip rules". Nothing as above; without a record there is nothing to do.
  // Throws KernelError, when some may be done and some not.
  std::optional<std::vector<std::string>> repair() const;

 private:
  std::shared_ptr<const Config> config_;
  std::string digest_;
  RuleLister lister_;
};

// The parts of it.
std::vector<std::string> differences(const Listing& recorded, const Listing& present);
void add_differences(const PolicyRouting& wanted, const PolicyRouting& present, Differences& found);
// What of it the kernel can have now.
PolicyRouting possible(const PolicyRouting& wanted, const Interfaces& interfaces);
Differences differences(const Record& record, const RuleListing& present, PolicyRouting routing,
                        const Interfaces& interfaces, const MemberView& members);
std::vector<std::string> interface_notes(const Config& config, const Interfaces& interfaces,
                                         const std::set<std::string>& addresses);
// "0-3", "5".
std::string queues_text(std::uint32_t first, std::uint32_t count);

}  // namespace swnat::rules
