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

bool on_top_of_nft(Family family) {
  const std::string version = run_or_throw({iptables_program(family), "--version"});
  return version.find("nf_tables") != std::string::npos;
}

// As nft calls it.
std::string nft_name(Family family) {
  return family == Family::ipv4 ? "ip" : "ip6";
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

bool is_wanted(const std::vector<IptablesTable>& wanted, Family family) {
  return std::any_of(wanted.begin(), wanted.end(),
                     [&](const IptablesTable& each) { return each.family == family; });
}

// Whether the kernel has chains of ours, as far as the installed program can see.
bool has_chains(Family family) {
  const std::string program = iptables_program(family, "-save");
  if (!has_program(program)) return false;
  // Where the kernel has no iptables there is nothing to save, which is no fault with --format nft.
  const ProcessResult saved = run({program});
  return saved.exit_code == 0 && std::any_of(std::begin(iptables_hooks), std::end(iptables_hooks),
                                             [&](const IptablesHook& hook) {
                                               return hook.family == family &&
                                                      !current(saved.output, hook).chains.empty();
                                             });
}

void apply_family(const std::vector<IptablesTable>& wanted, Family family) {
  if (!is_wanted(wanted, family) && !has_chains(family)) return;
  // Without a table's name only tables that exist are shown, and none is made.
  const std::string saved = run_or_throw({iptables_program(family, "-save")});
  for (const IptablesHook& hook : iptables_hooks) {
    if (hook.family != family) continue;
    const auto table = std::find_if(wanted.begin(), wanted.end(), [&](const IptablesTable& each) {
      return each.family == family && each.name == hook.table;
    });
    const std::string text =
        transaction(hook, current(saved, hook), table == wanted.end() ? nullptr : &*table);
    if (text.empty()) continue;
    // --wait: another program may hold the lock of the older kind of iptables for a moment.
    run_or_throw({iptables_program(family, "-restore"), "--noflush", "--wait=5"}, text);
  }
}

}  // namespace

void apply(const std::vector<IptablesTable>& wanted) {
  for (const Family family : all_families) apply_family(wanted, family);
}

std::vector<std::string> missing_iptables_chains(const std::vector<IptablesTable>& wanted) {
  std::vector<std::string> missing;
  for (const IptablesHook& hook : iptables_hooks) {
    if (!is_wanted(wanted, hook.family) || !on_top_of_nft(hook.family)) continue;
    const std::string family = nft_name(hook.family);
    const ProcessResult listed =
        run({"nft", "list", "chain", family, std::string(hook.table), std::string(hook.chain)});
    if (listed.exit_code == 0) continue;
    missing.push_back(fmt::format("{} {} {}", family, hook.table, hook.chain));
  }
  return missing;
}

void remove_made_chains(const std::vector<std::string>& chains) {
  for (const IptablesHook& hook : iptables_hooks) {
    const std::string family = nft_name(hook.family);
    const std::string table(hook.table);
    const std::string name = fmt::format("{} {} {}", family, table, hook.chain);
    if (std::find(chains.begin(), chains.end(), name) == chains.end()) continue;
    const std::string program = iptables_program(hook.family);
    // Refused, as it should be, for a chain that holds rules: then somebody else uses it now.
    if (!has_program(program) ||
        run({program, "-t", table, "-X", std::string(hook.chain)}).exit_code != 0) {
      continue;
    }
    const ProcessResult rest = run({"nft", "list", "table", family, table});
    if (rest.exit_code == 0 && is_empty_table(rest.output)) {
      run({"nft", "delete", "table", family, table});
    }
  }
}

void require_iptables_queue(Family family) {
  const auto result = run_apart(
      {iptables_program(family, "-restore")},
      "*raw\n-A PREROUTING -p udp -m u32 --u32 \"0=0\" -j NFQUEUE --queue-num 0\nCOMMIT\n");
  if (!result || result->exit_code == 0) return;
  throw KernelError(
      fmt::format("{} cannot send packets to a queue: the kernel needs NFQUEUE "
                  "(CONFIG_NETFILTER_XT_TARGET_NFQUEUE)"
                  " and u32 (CONFIG_NETFILTER_XT_MATCH_U32): {}",
                  iptables_program(family), in_short(result->error)));
}

}  // namespace swnat::rules
