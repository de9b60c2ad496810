// Theory of operation
//
// up() writes down what it is about to do (record.h), then brings the kernel to the wanted layout
// step by step. Every step compares what is there with what is wanted, so it can be repeated after
// any interruption, and the same steps bring the kernel back to the former layout when one of them
// fails, or to none at all in down(). The guard comes first and goes last, so that nothing leaves
// untranslated in between.
#include "rules/kernel.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "rules/format.h"
#include "rules/iptables_apply.h"
#include "rules/link.h"
#include "rules/plan.h"
#include "rules/process.h"
#include "rules/record.h"

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

void require_interfaces(const Config& config) {
  require_external_interface(config);
  for (const NamespaceConfig& each : config.namespaces) {
    for (const std::string& interface : each.interfaces) {
      if (link(interface) != Link::missing) continue;
      throw KernelError(
          fmt::format("namespace \"{}\": there is no interface {} here", each.name, interface));
    }
    // The kernel takes no route through an interface that is down.
    if (!each.interfaces.empty() && link(each.interfaces.front()) == Link::down) {
      throw KernelError(
          fmt::format("namespace \"{0}\": interface {1} is down; bring it up first, as by"
                      " `ip link set {1} up`",
                      each.name, each.interfaces.front()));
    }
  }
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

bool has_nft_table() {
  return run({"nft", "list", "chains", "inet"}).output.find("table inet swnat ") !=
         std::string::npos;
}

void remove_nft_table() {
  // Made first, so that removing it is no error where it does not exist.
  run_or_throw({"nft", "-f", "-"}, "table inet swnat\ndelete table inet swnat\n");
}

void bring_to(const Layout& layout) {
  run_or_throw({"nft", "-f", "-"}, layout.nft);
  apply(layout.iptables);
  apply(layout.routing);
}

void bring_to_nothing(const Record& record) {
  apply(PolicyRouting{});
  apply(std::vector<IptablesTable>{});
  remove_made_chains(record.made_chains);
  remove_nft_table();
}

// As far as it goes: an interface, and its sysctls with it, may have gone since.
void restore(const std::vector<Sysctl>& writes) {
  for (const Sysctl& each : writes) {
    if (read_sysctl(each.name)) write_sysctl(each);
  }
}

void remove_all(const Record& record, const RecordFolder& folder) {
  restore(sysctl_restoration(record.sysctls));
  bring_to_nothing(record);
  folder.remove(record);
}

// One up(): from the record before it to the plan, or back.
struct Change {
  const Plan& plan;
  const RecordFolder& folder;
  Record before;
  SysctlWork work;
  Record pending;            // what is true at any moment until the change is complete
  std::vector<Sysctl> undo;  // of the sysctls written so far, the last one first

  void apply() {
    folder.save(pending);
    bring_to(plan.layout);
    for (const Sysctl& each : work.writes) {
      const auto value = read_sysctl(each.name);
      for (Sysctl& other : switched_with(each.name, pending.sysctls)) {
        undo.insert(undo.begin(), std::move(other));
      }
      if (value) undo.insert(undo.begin(), {each.name, *value});
      write_sysctl(each);
    }
    Record after = pending;
    after.layout = plan.layout;
    after.sysctls = work.after;
    folder.save(after);
  }

  void revert() const {
    if (!before.layout) {
      remove_all(pending, folder);
      return;
    }
    restore(undo);
    bring_to(*before.layout);
    remove_made_chains(pending.made_chains);
    folder.save(before);
  }
};

}  // namespace

void require_external_interface(const Config& config) {
  if (link(config.external_interface) != Link::missing) return;
  throw KernelError(fmt::format("there is no interface {} here, which [external] interface names",
                                config.external_interface));
}

void up(const Config& config, Format format) {
  require_privilege();
  require_interfaces(config);
  const Format chosen = choose_format(format);
  require_queue(config, chosen);
  const Plan plan = make_plan(config, chosen);

  const SignalsHeldBack held;
  const RecordFolder folder(config.control_socket);
  const Record before = folder.load();
  Change change{plan, folder, before, sysctl_work(plan, before.sysctls), before, {}};
  change.pending.sysctls = during(before.sysctls, change.work.after);
  for (const std::string& chain : missing_iptables_chains(plan.layout.iptables)) {
    auto& made = change.pending.made_chains;
    if (std::find(made.begin(), made.end(), chain) == made.end()) made.push_back(chain);
  }
  try {
    change.apply();
  } catch (const KernelError& failure) {
    try {
      change.revert();
    } catch (const KernelError& second) {
      throw KernelError(fmt::format("{}; undoing it failed too, `swnat-nfq down` may do it: {}",
                                    failure.what(), second.what()));
    }
    throw;
  }
}

void down(const Config& config) {
  require_privilege();
  const SignalsHeldBack held;
  const RecordFolder folder(config.control_socket);
  const auto damage = folder.put_damaged_aside();
  const bool is_unrecorded = !folder.has_record() && has_nft_table();
  remove_all(folder.load(), folder);
  if (damage) {
    throw KernelError(
        fmt::format("{}; rules and routes are removed, but sysctls stay as they are", *damage));
  }
  if (!is_unrecorded) return;
  throw KernelError(fmt::format(
      "rules and routes are removed, but sysctls stay as they are: there is no record of"
      " this `up` beside {}; if control.socket was another one then, put it back and"
      " run `down` again",
      config.control_socket));
}

}  // namespace swnat::rules
