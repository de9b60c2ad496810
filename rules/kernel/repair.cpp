// Putting back what the last completed `up` had made (inspect.h).
#include <algorithm>

#include "rules/iptables/apply.h"
#include "rules/kernel/inspect.h"
#include "rules/kernel/kernel.h"
#include "rules/kernel/member_work.h"
#include "rules/system/process.h"
#include "rules/system/sysctl_reader.h"
#include "rules/text/lines.h"

namespace swnat::rules {
namespace {

void put_back_nft(Record& record, const MemberBook& book) {
  Listing& recorded = record.stock->rules.nft;
  const std::string text = record.layout->nft + members_text(record.layout->members, book);
  run_or_throw({"nft", "-f", "-"}, text);
  Listing present = list_nft_rules();
  if (present != recorded) {
    // The text flushes rules and leaves chains and sets, so what others added to the table goes
    // only with the table itself. That drops what waits in queues, once.
    run_or_throw({"nft", "-f", "-"}, "table inet swnat\ndelete table inet swnat\n" + text);
    present = list_nft_rules();
  }
  // The same as before, unless another version of nft lists it now.
  recorded = std::move(present);
}

void put_back_iptables(Record& record, const RecordFolder& folder) {
  auto& made = record.made_chains;
  for (const std::string& chain : missing_iptables_chains(record.layout->iptables)) {
    if (std::find(made.begin(), made.end(), chain) == made.end()) made.push_back(chain);
  }
  folder.save(record);
  apply_iptables(record.layout->iptables);
  record.stock->rules.iptables = list_iptables_rules(true);
}

// What a sysctl was before is written down first, as by `up`.
void put_back_sysctls(Record& record, const RecordFolder& folder) {
  std::vector<Sysctl> asked = record.stock->sysctls;
  SysctlReader reader;
  std::erase_if(asked, [&](const Sysctl& each) { return !reader.read(each.name); });
  const SysctlWork work = sysctl_work(asked, record.sysctls);
  record.sysctls = during(record.sysctls, work.after);
  folder.save(record);
  for (const Sysctl& each : work.writes) write_sysctl(each);
  record.sysctls = work.after;
}

}  // namespace

std::optional<std::vector<std::string>> Inspector::repair() const {
  const auto folder = RecordFolder::try_to_lock(config_->control_socket);
  if (!folder) return std::nullopt;
  std::optional<Record> record = folder->find();
  std::vector<std::string> done;
  if (!record || !record->layout || !record->stock) return done;
  const std::vector<MemberRange>& ranges = record->layout->members;
  std::optional<MemberStore> store;  // members wait until all is put back
  if (!ranges.empty()) store.emplace(config_->control_socket);
  const MemberBook book = store ? store->load() : MemberBook{};
  const Interfaces interfaces = current_interfaces();
  const MemberView members = locked_view(ranges, book, interfaces);
  const RuleListing present = RuleLister().list(!record->stock->rules.iptables.empty());
  const Differences found =
      differences(*record, present, current_policy_routing(interfaces), interfaces, members);
  // The guard first, and forwarding last.
  if (!found.nft.empty()) {
    put_back_nft(*record, book);
    done.emplace_back("nft table inet swnat");
  }
  if (!found.iptables.empty()) {
    put_back_iptables(*record, *folder);
    done.emplace_back("the chains of iptables");
  }
  if (!found.rules.empty() || !found.routes.empty()) {
    PolicyRouting wanted = possible(record->layout->routing, interfaces);
    wanted.routes.insert(wanted.routes.end(), members.routes.begin(), members.routes.end());
    apply_routing(wanted);
    if (!found.rules.empty()) done.push_back(counted(found.rules.size(), "ip rule"));
    if (!found.routes.empty()) done.push_back(counted(found.routes.size(), "route"));
  }
  if (!found.sysctls.empty()) {
    put_back_sysctls(*record, *folder);
    done.push_back(counted(found.sysctls.size(), "sysctl"));
  }
  if (found.any()) folder->save(*record);
  return done;
}

}  // namespace swnat::rules
