#include "rules/iptables/apply.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "rules/system/process.h"
#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

// What of ours is in one table.
struct Current {
  std::vector<std::string> chains;
  struct Jump {
    std::size_t count = 0;
    bool is_last = false;
  };
  std::map<std::string_view, Jump> jumps;  // by built-in chain
};

std::string first_word(std::string_view text) {
  return std::string(text.substr(0, text.find(' ')));
}

Current current(const std::string& saved, std::string_view table) {
  Current found;
  std::istringstream lines(saved);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('*')) inside = line.substr(1) == table;
    if (!inside) continue;
    if (line.starts_with(fmt::format(":{}", iptables_prefix))) {
      found.chains.push_back(first_word(std::string_view(line).substr(1)));
    }
    for (const IptablesHook& hook : iptables_hooks) {
      if (hook.table != table || !line.starts_with(fmt::format("-A {} ", hook.chain))) continue;
      Current::Jump& jump = found.jumps[hook.chain];
      jump.is_last = line == fmt::format("-A {} -j {}", hook.chain, hook.entry);
      if (jump.is_last) ++jump.count;
    }
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

// From what nft lists of a table.
bool is_empty_table(const std::string& listed) {
  std::istringstream lines(listed);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line != "}" && !line.starts_with("table ") && !line.starts_with('#'))
      return false;
  }
  return true;
}

// Our jump once, behind the rules of others; with no chains wanted, not at all.
std::string jump_changes(const IptablesHook& hook, const Current::Jump& now, bool is_wanted) {
  if (is_wanted && now.count == 1 && now.is_last) return "";
  std::string text;
  for (std::size_t i = 0; i < now.count; ++i) {
    text += fmt::format("-D {} -j {}\n", hook.chain, hook.entry);
  }
  if (is_wanted) text += fmt::format("-A {} -j {}\n", hook.chain, hook.entry);
  return text;
}

// One transaction for one table; empty if there is nothing to do.
std::string transaction(std::string_view table, Current now, const IptablesTable* wanted) {
  if (wanted == nullptr && now.chains.empty()) return "";
  std::string text = fmt::format("*{}\n", table);
  if (wanted != nullptr) {
    // Makes a chain, or empties it.
    for (const IptablesChain& chain : wanted->chains)
      text += fmt::format(":{} - [0:0]\n", chain.name);
  }
  for (const IptablesHook& hook : iptables_hooks) {
    if (hook.table == table) text += jump_changes(hook, now.jumps[hook.chain], wanted != nullptr);
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
  return saved.exit_code == 0 &&
         std::any_of(
             std::begin(iptables_table_names), std::end(iptables_table_names),
             [&](std::string_view table) { return !current(saved.output, table).chains.empty(); });
}

void apply_family(const std::vector<IptablesTable>& wanted, Family family) {
  if (!is_wanted(wanted, family) && !has_chains(family)) return;
  // Without a table's name only tables that exist are shown, and none is made.
  const std::string saved = run_or_throw({iptables_program(family, "-save")});
  for (const std::string_view name : iptables_table_names) {
    const auto table = std::find_if(wanted.begin(), wanted.end(), [&](const IptablesTable& each) {
      return each.family == family && each.name == name;
    });
    const std::string text =
        transaction(name, current(saved, name), table == wanted.end() ? nullptr : &*table);
    if (text.empty()) continue;
    // --wait: another program may hold the lock of the older kind of iptables for a moment.
    run_or_throw({iptables_program(family, "-restore"), "--noflush", "--wait=5"}, text);
  }
}

}  // namespace

void apply_iptables(const std::vector<IptablesTable>& wanted) {
  for (const Family family : all_families) apply_family(wanted, family);
}

std::vector<std::string> missing_iptables_chains(const std::vector<IptablesTable>& wanted) {
  std::vector<std::string> missing;
  for (const Family family : all_families) {
    if (!is_wanted(wanted, family) || !on_top_of_nft(family)) continue;
    for (const IptablesHook& hook : iptables_hooks) {
      const std::string name(nft_name(family));
      const ProcessResult listed =
          run({"nft", "list", "chain", name, std::string(hook.table), std::string(hook.chain)});
      if (listed.exit_code == 0) continue;
      missing.push_back(fmt::format("{} {} {}", name, hook.table, hook.chain));
    }
  }
  return missing;
}

namespace {

void remove_made_chain(Family family, const IptablesHook& hook) {
  const std::string table(hook.table);
  const std::string program = iptables_program(family);
  // Refused, as it should be, for a chain that holds rules: then somebody else uses it now.
  if (!has_program(program) ||
      run({program, "-t", table, "-X", std::string(hook.chain)}).exit_code != 0) {
    return;
  }
  const ProcessResult rest = run({"nft", "list", "table", nft_name(family), table});
  if (rest.exit_code == 0 && is_empty_table(rest.output)) {
    run({"nft", "delete", "table", nft_name(family), table});
  }
}

}  // namespace

void remove_made_chains(const std::vector<std::string>& chains) {
  for (const Family family : all_families) {
    for (const IptablesHook& hook : iptables_hooks) {
      const std::string name = fmt::format("{} {} {}", nft_name(family), hook.table, hook.chain);
      if (std::find(chains.begin(), chains.end(), name) != chains.end()) {
        remove_made_chain(family, hook);
      }
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
