// Theory of operation
//
// up() writes down what it is about to do (record.h), then brings the kernel to the wanted layout
// step by step. Every step compares what is there with what is wanted, so it can be repeated after
// any interruption, and the same steps bring the kernel back to the former layout when one of them
// fails, or to none at all in down(). The guard comes first and goes last, so that nothing leaves
// untranslated in between.
#include "rules/kernel/kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <utility>

#include "rules/found/operators_rules.h"
#include "rules/found/queue_rules.h"
#include "rules/found/remains.h"
#include "rules/iptables/apply.h"
#include "rules/kernel/choose_format.h"
#include "rules/kernel/member_store.h"
#include "rules/kernel/member_work.h"
#include "rules/kernel/plan.h"
#include "rules/kernel/record.h"
#include "rules/nft/text.h"
#include "rules/system/interfaces.h"
#include "rules/system/process.h"
#include "rules/system/sysctl_reader.h"
#include "rules/text/digest.h"
#include "rules/text/lines.h"

namespace swnat::rules {
namespace {

void require_privilege() {
  constexpr unsigned cap_net_admin = 12;
  std::ifstream status("/proc/self/status");
  if (!status) {
    throw KernelError(fmt::format("/proc/self/status cannot be read: {}", std::strerror(errno)));
  }
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("CapEff:")) continue;
    if ((std::stoull(line.substr(7), nullptr, 16) >> cap_net_admin & 1) != 0) return;
  }
  throw KernelError("not permitted: this needs root, or the capability CAP_NET_ADMIN");
}

// Namespaces that stay blocked until their interface is there, a line each.
std::vector<std::string> waiting(const Config& config, const Interfaces& interfaces) {
  constexpr std::size_t most = 10;
  std::vector<std::string> lines;
  std::size_t others = 0;
  for (const NamespaceConfig& each : config.namespaces) {
    for (const std::string& interface : each.interfaces) {
      // The kernel takes no route through an interface that is down; all but the first need none.
      const bool is_first = interface == each.interfaces.front();
      if (is_first ? interfaces.has_up(interface) : interfaces.has(interface)) continue;
      if (lines.size() == most) {
        ++others;
        continue;
      }
      lines.push_back(fmt::format(
          "namespace \"{}\" waits for interface {}, which is {}: what it sends is dropped; a"
          " running daemon completes it when the interface is up, and so does `up`",
          each.name, interface, interfaces.has(interface) ? "down" : "not there"));
    }
  }
  if (others != 0) lines.push_back(fmt::format("so do {} other interfaces", others));
  return lines;
}

std::vector<RemovedTenant> tenants_of(const Config& config) {
  std::vector<RemovedTenant> all;
  for (const Tenant& each : tenants(config)) all.push_back({each.interfaces, each.sources});
  return all;
}

// Interfaces that some earlier up() knew as a tenant's, that are still there, and that this
// configuration does not have.
std::vector<RemovedTenant> removed_tenants(const Config& config, const Record& record) {
  const bool had_members = record.layout && !record.layout->members.empty();
  if (record.tenants.empty() && record.removed.empty() && !had_members) return {};
  const Interfaces interfaces = current_interfaces();
  const std::vector<std::string> known = tenant_interfaces(config);
  const std::vector<MemberRange> ranges = member_ranges(config);
  std::set<std::string> seen(known.begin(), known.end());
  seen.insert(config.external_interface);
  for (const auto& [name, is_up] : interfaces.is_up) {
    if (range_matching(ranges, name) != nullptr) seen.insert(name);
  }
  std::vector<RemovedTenant> removed;
  for (const auto* earlier : {&record.removed, &record.tenants}) {
    for (const RemovedTenant& each : *earlier) {
      RemovedTenant rest{{}, each.sources};
      for (const std::string& interface : each.interfaces) {
        if (!interfaces.has(interface) || !seen.insert(interface).second) continue;
        rest.interfaces.push_back(interface);
      }
      if (!rest.interfaces.empty()) removed.push_back(std::move(rest));
    }
  }
  if (!record.layout) return removed;
  for (const MemberRange& earlier : record.layout->members) {
    RemovedTenant rest{{}, earlier.subnets};
    for (const auto& [name, is_up] : interfaces.is_up) {
      if (earlier.matches(name) && seen.insert(name).second) rest.interfaces.push_back(name);
    }
    if (!rest.interfaces.empty()) removed.push_back(std::move(rest));
  }
  return removed;
}

// Ctrl-C and termination wait until the kernel is in a state that has a name.
class SignalsHeldBack {
 public:
  SignalsHeldBack() {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&ending, signal);
    pthread_sigmask(SIG_BLOCK, &ending, &before_);
  }
  ~SignalsHeldBack() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeldBack(const SignalsHeldBack&) = delete;
  SignalsHeldBack& operator=(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

// What the operator's own rules lack. It is advice: `up` is done, whether they can be read or not.
std::vector<std::string> advice(const Config& config) {
  if (!needs_operators_rules(config)) return {};
  try {
    return missing_operators_rules(config, printed_rules(config));
  } catch (const KernelError& failure) {
    return {fmt::format("whether your own rules set fwmarks and routes is not known: {}",
                        failure.what())};
  }
}

// Rules of others that go on queueing, if there are any.
std::vector<std::string> left_by_down(const Config& config, bool was_up) {
  std::vector<std::string> others;
  try {
    others = others_that_queue(queue_rules(printed_rules(config)), config);
  } catch (const KernelError& failure) {
    return {fmt::format("whether rules of others still send packets to queues is not known: {}",
                        failure.what())};
  }
  if (others.empty()) return {};
  return {
      fmt::format("{}rules that `up` did not make are left as they are: {}. What they queue is"
                  " dropped where no daemon reads it; remove them as they were made",
                  was_up ? "" : "there is nothing of `up`'s here; ", fmt::join(others, ", "))};
}

constexpr std::string_view table_header = "table inet swnat {\n";

// What nft lists of our table, without elements; `what` is "chains", "sets" or "maps".
std::string listed(const char* what) {
  const std::string all = run({"nft", "-t", "list", what, "inet"}).output;
  const std::size_t begin = all.find(table_header);
  if (begin == std::string::npos) return "";
  return all.substr(begin, all.find("\n}", begin) - begin);
}

void remove_nft_table() {
  // Made first, so that removing it is no error where it does not exist.
  run_or_throw({"nft", "-f", "-"}, "table inet swnat\ndelete table inet swnat\n");
}

// In one transaction: what is there and not wanted any more goes, the rest is replaced. Maps lead
// to chains, and must be empty before these can go.
void apply_nft(const std::string& text) {
  const std::vector<std::string> wanted = nft_objects(text);
  std::string stale;
  for (const char* what : {"sets", "maps", "chains"}) {
    for (const std::string& object : nft_objects(listed(what))) {
      const std::size_t space = object.find(' ');
      const std::string kind = object.substr(0, space);
      const std::string name = object.substr(space + 1);
      const bool stays = std::find(wanted.begin(), wanted.end(), object) != wanted.end();
      if (kind == "map" && stays) stale += fmt::format("flush map inet swnat {}\n", name);
      if (!stays) stale += fmt::format("delete {} inet swnat {}\n", kind, name);
    }
  }
  if (!stale.empty()) stale = "flush table inet swnat\n" + stale;
  run_or_throw({"nft", "-f", "-"}, stale + text);
}

// Members, as long as this lives; nothing where there are none, and never were.
class LockedMembers {
 public:
  LockedMembers(const Layout& layout, const std::string& control_socket) : ranges_(layout.members) {
    if (ranges_.empty() && !MemberStore::is_there(control_socket)) return;
    store_.emplace(control_socket);
    book_ = store_->load();
  }

  // To the interfaces that are here. Who has no fwmark yet gets one that nobody's sessions are
  // under; a running daemon sees to the others. Returns what the operator should know.
  std::vector<std::string> follow_interfaces() {
    if (!store_) return {};
    const MemberLinks links = current_links();
    const MemberChange change = follow_links(ranges_, links, Sessions::cannot_end, book_);
    // First: the interface may be a member by another name now.
    for (const auto& [fwmark, member] : change.went) restore_sysctls(member, links);
    note_originals(ranges_, change.came, book_);
    store_->save(book_);
    write_member_sysctls(change.came, book_);
    std::vector<std::string> told;
    for (const auto& [range, count] : change.waiting) told.push_back(waiting_text(range, count));
    return told;
  }

  // What they have in the kernel beside rules and routes.
  void restore_sysctls() const {
    if (!store_) return;
    const MemberLinks links = current_links();
    for (const auto& [fwmark, member] : book_) restore_sysctls(member, links);
  }
  // The last: who finds no book, but a record, begins one.
  void forget() const {
    if (store_) store_->remove();
  }

  std::string elements() const { return members_text(ranges_, book_); }
  std::vector<FwmarkRoute> routes() const { return members_routes(ranges_, book_); }

 private:
  static void restore_sysctls(const Member& member, const MemberLinks& links) {
    const auto link = links.find(member.number);
    if (link != links.end()) restore_member_sysctls(member, link->second.name);
  }

  std::vector<MemberRange> ranges_;
  std::optional<MemberStore> store_;
  MemberBook book_;
};

void bring_to(const Layout& layout, const LockedMembers& members) {
  apply_nft(layout.nft + members.elements());
  apply_iptables(layout.iptables);
  PolicyRouting routing = layout.routing;
  for (FwmarkRoute& each : members.routes()) routing.routes.push_back(std::move(each));
  apply_routing(routing);
}

void bring_to_nothing(const Record& record) {
  apply_routing(PolicyRouting{});
  apply_iptables(std::vector<IptablesTable>{});
  remove_made_chains(record.made_chains);
  remove_nft_table();
}

// As far as it goes: an interface, and its sysctls with it, may have gone since.
void restore(const std::vector<Sysctl>& writes) {
  for (const Sysctl& each : writes) write_sysctl_if_there(each);
}

void remove_all(const Record& record, const RecordFolder& folder,
                const std::string& control_socket) {
  LockedMembers members(record.layout.value_or(Layout{}), control_socket);
  members.restore_sysctls();
  restore(sysctl_restoration(record.sysctls));
  bring_to_nothing(record);
  folder.remove(record);
  members.forget();
}

// After all is done: how the kernel lists it.
Stock take_stock(const Config& config, const Plan& plan, const SysctlWork& work) {
  RuleListing rules{list_nft_rules(), {}};
  if (!plan.layout.iptables.empty()) rules.iptables = list_iptables_rules(true);
  return {std::move(rules), work.asked, configuration_digest(config), config.first_queue,
          config.workers};
}

// After all is done: what the operator should know, a line each.
std::vector<std::string> what_to_tell(const Config& config, const Plan& plan) {
  std::vector<std::string> told = waiting(config, current_interfaces());
  for (const RemovedTenant& each : plan.removed) {
    told.push_back(
        fmt::format("{} belonged to a namespace that {} has no more: what comes from"
                    " there is dropped as long as it is there",
                    fmt::join(each.interfaces, ", "), config.file));
  }
  for (std::string& each : advice(config)) told.push_back(std::move(each));
  return told;
}

std::string up_summary(const Config& config, Format asked, Format chosen) {
  std::string_view why = "as --format says";
  if (asked == Format::automatic) {
    why = chosen == Format::nft ? "which can queue packets here"
                                : "because nft rules cannot queue packets here";
  }
  return fmt::format("applied for {}: rules in the format of {}, {}; policy routing; sysctls",
                     counted(config.namespaces.size(), "namespace"),
                     chosen == Format::nft ? "nft" : "iptables", why);
}

// Before it is done.
std::string down_summary(const Record& record, bool is_recorded) {
  if (!is_recorded) return "there was nothing to remove: no `up` is in place here";
  return fmt::format("removed: rules and policy routing; {} put back",
                     counted(sysctl_restoration(record.sysctls).size(), "sysctl"));
}

// One up(): from the record before it to the plan, or back.
struct Change {
  const Config& config;
  const Plan& plan;
  const RecordFolder& folder;
  Record before;
  SysctlWork work;
  Record pending;            // what is true at any moment until the change is complete
  std::vector<Sysctl> undo;  // of the sysctls written so far, to be written from the last on
  std::vector<std::string> told = {};  // about members

  void apply() {
    folder.save(pending);
    LockedMembers members(plan.layout, config.control_socket);
    told = members.follow_interfaces();
    bring_to(plan.layout, members);
    SysctlReader reader;
    for (const Sysctl& each : work.writes) {
      const auto value = reader.read(each.name);
      // One before it in the list may have switched it.
      if (value == each.value) continue;
      // What writing to it changes besides is put back after it.
      for (Sysctl& other : switched_with(each.name, pending.sysctls)) {
        undo.push_back(std::move(other));
      }
      if (value) undo.push_back({each.name, *value});
      write_sysctl(each);
      reader.wrote(each.name);
    }
    Record after = pending;
    after.layout = plan.layout;
    after.sysctls = work.after;
    after.stock = take_stock(config, plan, work);
    folder.save(after);
  }

  void revert() const {
    if (!before.layout) {
      remove_all(pending, folder, config.control_socket);
      return;
    }
    restore({undo.rbegin(), undo.rend()});
    LockedMembers members(*before.layout, config.control_socket);
    members.follow_interfaces();
    bring_to(*before.layout, members);
    remove_made_chains(pending.made_chains);
    folder.save(before);
  }
};

}  // namespace

void require_external_interface(const Config& config) {
  if (current_interfaces().has(config.external_interface)) return;
  throw KernelError(fmt::format("there is no interface {} here, which [external] interface names",
                                config.external_interface));
}

std::string configuration_digest(const Config& config) {
  // Either format tells two configurations apart.
  Digest digest;
  digest.add(config.file);
  add_to(digest, make_plan(config, Format::iptables));
  return fmt::format("{:016x}", digest.value());
}

Done up(const Config& config, Format format, const Keep& keep) {
  require_privilege();
  require_external_interface(config);
  const Format chosen = choose_format(format);
  require_queue(config, chosen);

  const SignalsHeldBack held;
  const RecordFolder folder(config.control_socket);
  const Record before = folder.load();
  const Plan plan = make_plan(config, chosen, removed_tenants(config, before));
  Change change{config, plan, folder, before, sysctl_work(plan.sysctls, before.sysctls),
                before, {}};
  change.pending.tenants = tenants_of(config);
  change.pending.removed = plan.removed;
  change.pending.sysctls = during(before.sysctls, change.work.after);
  for (const std::string& chain : missing_iptables_chains(plan.layout.iptables)) {
    auto& made = change.pending.made_chains;
    if (std::find(made.begin(), made.end(), chain) == made.end()) made.push_back(chain);
  }
  // What fails, or is not kept, is undone.
  const auto undo = [&](const std::string& why) {
    try {
      change.revert();
    } catch (const KernelError& second) {
      throw KernelError(fmt::format("{}; undoing it failed too, `swnat-nfq down` may do it: {}",
                                    why, second.what()));
    }
  };
  try {
    change.apply();
    Done done{up_summary(config, format, chosen), what_to_tell(config, plan)};
    done.to_know.insert(done.to_know.end(), change.told.begin(), change.told.end());
    if (!keep || keep(done)) return done;
  } catch (const std::exception& failure) {
    undo(failure.what());
    throw;
  }
  undo("not confirmed");
  throw KernelError("not confirmed: everything is as it was before");
}

Done down(const Config& config) {
  require_privilege();
  const SignalsHeldBack held;
  const RecordFolder folder(config.control_socket);
  const auto damage = folder.put_damaged_aside();
  const bool is_recorded = folder.has_record();
  const std::string unrecorded = damage || is_recorded ? "" : remains_of_up();
  const Record record = folder.load();
  std::string summary = down_summary(record, is_recorded);
  remove_all(record, folder, config.control_socket);
  if (damage) {
    throw KernelError(
        fmt::format("{}; rules and routes are removed, but sysctls stay as they are", *damage));
  }
  if (!unrecorded.empty()) {
    throw KernelError(fmt::format(
        "removed: {}; but sysctls stay as they are, because there is no record of this `up` beside"
        " {}. If control.socket was another one then, put it back and run `down` again; what"
        " `swnat-nfq rules` printed and somebody else applied has no record: see there for the"
        " sysctls",
        unrecorded, config.control_socket));
  }
  return {std::move(summary), left_by_down(config, is_recorded)};
}

}  // namespace swnat::rules
