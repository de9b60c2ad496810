#include "rules/iptables_apply.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "rules/kernel.h"
#include "rules/process.h"

namespace swnat::rules {
namespace {

// What of ours is in one table.
struct Current {
  std::vector<std::string> chains;
  std::size_t jumps = 0;  // from the built-in chain to our first
};

std::string first_word(std::string_view text) {
  return std::string(text.substr(0, text.find(' ')));
}

Current current(const std::string& saved, const IptablesHook& hook) {
  Current found;
  const std::string jump = fmt::format("-A {} -j {}", hook.chain, iptables_prefix);
  std::istringstream lines(saved);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('*')) inside = line.substr(1) == hook.table;
    if (!inside) continue;
    if (line.starts_with(fmt::format(":{}", iptables_prefix))) {
      found.chains.push_back(first_word(std::string_view(line).substr(1)));
    }
    if (line.starts_with(jump)) ++found.jumps;
  }
  return found;
}

// Without a table's name only tables that exist are shown, and none is made.
std::string save() {
  return run_or_throw({"iptables-save"});
}

bool on_top_of_nft() {
  return run_or_throw({"iptables", "--version"}).find("nf_tables") != std::string::npos;
}

// The entry chain has the same name in every version, so a jump is known whatever it was made for.
std::string_view entry_chain(const IptablesHook& hook) {
  return hook.table == "raw" ? "SWNAT-IN" : "SWNAT-OUT";
}

// From what nft lists of a table.
bool is_empty_table(const std::string& listed) {
  std::istringstream lines(listed);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line != "}" && !line.starts_with("table ") && !line.starts_with('#'))
      return false;
  }
  return true;
}

// One transaction for one table; empty if there is nothing to do.
std::string transaction(const IptablesHook& hook, const Current& now, const IptablesTable* wanted) {
  if (wanted == nullptr && now.chains.empty()) return "";
  std::string text = fmt::format("*{}\n", hook.table);
  if (wanted != nullptr) {
    // Makes a chain, or empties it.
    for (const IptablesChain& chain : wanted->chains)
      text += fmt::format(":{} - [0:0]\n", chain.name);
  }
  const bool keep_jump = wanted != nullptr && now.jumps == 1;
  for (std::size_t i = 0; i < now.jumps && !keep_jump; ++i) {
    text += fmt::format("-D {} -j {}\n", hook.chain, entry_chain(hook));
  }
  std::vector<std::string> stale = now.chains;
  if (wanted != nullptr) {
    std::erase_if(stale, [&](const std::string& name) {
      return std::any_of(wanted->chains.begin(), wanted->chains.end(),
                         [&](const IptablesChain& chain) { return chain.name == name; });
    });
  }
  for (const std::string& name : stale) text += fmt::format("-F {}\n", name);
  for (const std::string& name : stale) text += fmt::format("-X {}\n", name);
  if (wanted != nullptr) {
    if (!keep_jump) text += fmt::format("-I {} 1 {}\n", hook.chain, iptables_jump(*wanted));
    for (const IptablesChain& chain : wanted->chains) {
      for (const std::string& rule : chain.rules)
        text += fmt::format("-A {} {}\n", chain.name, rule);
    }
  }
  return text + "COMMIT\n";
}

}  // namespace

void apply(const std::vector<IptablesTable>& wanted) {
  const std::string saved = save();
  for (const IptablesHook& hook : iptables_hooks) {
    const auto table = std::find_if(wanted.begin(), wanted.end(), [&](const IptablesTable& each) {
      return each.name == hook.table;
    });
    const std::string text =
        transaction(hook, current(saved, hook), table == wanted.end() ? nullptr : &*table);
    // --wait: another program may hold the lock of the older kind of iptables for a moment.
    if (!text.empty()) run_or_throw({"iptables-restore", "--noflush", "--wait=5"}, text);
  }
}

bool has_iptables_chains() {
  if (!has_program("iptables-save")) return false;
  // Where the kernel has no iptables there is nothing to save, which is no fault with --format nft.
  const ProcessResult saved = run({"iptables-save"});
  return saved.exit_code == 0 && std::any_of(std::begin(iptables_hooks), std::end(iptables_hooks),
                                             [&](const IptablesHook& hook) {
                                               return !current(saved.output, hook).chains.empty();
                                             });
}

std::vector<std::string> missing_iptables_chains() {
  std::vector<std::string> missing;
  if (!on_top_of_nft()) return missing;
  for (const IptablesHook& hook : iptables_hooks) {
    const ProcessResult listed =
        run({"nft", "list", "chain", "ip", std::string(hook.table), std::string(hook.chain)});
    if (listed.exit_code != 0) missing.push_back(fmt::format("{} {}", hook.table, hook.chain));
  }
  return missing;
}

void remove_made_chains(const std::vector<std::string>& chains) {
  if (chains.empty() || !has_program("iptables")) return;
  for (const std::string& each : chains) {
    const std::string table = first_word(each);
    const std::string chain = each.substr(table.size() + 1);
    // Refused, as it should be, for a chain that holds rules: then somebody else uses it now.
    if (run({"iptables", "-t", table, "-X", chain}).exit_code != 0) continue;
    const ProcessResult rest = run({"nft", "list", "table", "ip", table});
    if (rest.exit_code == 0 && is_empty_table(rest.output))
      run({"nft", "delete", "table", "ip", table});
  }
}

void require_iptables_queue() {
  const auto result = run_apart(
      {"iptables-restore"},
      "*raw\n-A PREROUTING -p udp -m u32 --u32 \"0=0\" -j NFQUEUE --queue-num 0\nCOMMIT\n");
  if (!result || result->exit_code == 0) return;
  throw KernelError(
      fmt::format("iptables cannot send packets to a queue: the kernel needs NFQUEUE "
                  "(CONFIG_NETFILTER_XT_TARGET_NFQUEUE)"
                  " and u32 (CONFIG_NETFILTER_XT_MATCH_U32): {}",
                  in_short(result->error)));
}

}  // namespace swnat::rules
