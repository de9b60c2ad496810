#include "rules/found/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "rules/iptables/chains.h"
#include "rules/nft/elements.h"
#include "rules/nft/member_elements.h"
#include "rules/system/netlink.h"
#include "rules/system/process.h"
#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

// Takes the first line off, without its end.
std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.size(), line.size() + 1));
  return line;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t";
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

// One chain, set, map or counter of a table, from behind its first line to its last.
std::string nft_part(std::string_view& rest) {
  std::string text;
  while (!rest.empty()) {
    const std::string_view line = take_line(rest);
    if (line == "\t}") break;
    text += fmt::format("{}\n", trimmed(line));
  }
  return text;
}

// Of the sets and maps that neither packets fill nor members that come and go.
void add_elements(Listing& parts) {
  NetlinkSocket netfilter(NETLINK_NETFILTER);
  for (auto& [name, text] : parts) {
    std::string_view set = name;
    if (!set.starts_with("set ") && !set.starts_with("map ")) continue;
    const std::size_t flags = text.find("flags ");
    if (flags != std::string::npos &&
        text.substr(flags, text.find('\n', flags) - flags).find("dynamic") != std::string::npos) {
      continue;
    }
    set.remove_prefix(4);
    if (is_of_members(set.substr(0, set.find(' ')))) continue;
    text += elements_text(netfilter, set.substr(0, set.find(' ')));
  }
}

Listing list_iptables(Family family, bool is_expected) {
  const std::string program = iptables_program(family, "-save");
  if (!has_program(program)) return {};
  const ProcessResult saved = run({program});
  if (saved.exit_code == 0) return iptables_listing(saved.output, family);
  // Where the kernel has no iptables there is nothing to list, which is no fault if none is
  // expected.
  if (!is_expected) return {};
  throw KernelError(fmt::format("{} failed: {}", program, in_short(saved.error)));
}

}  // namespace

Listing nft_listing(std::string_view printed) {
  Listing parts;
  bool is_inside = false;
  while (!printed.empty()) {
    std::string_view line = take_line(printed);
    if (line.starts_with("table ")) is_inside = line == "table inet swnat {";
    if (!is_inside) continue;
    const bool is_part =
        line.starts_with('\t') && !line.starts_with("\t\t") && line.ends_with(" {");
    if (!is_part) continue;
    line.remove_suffix(2);
    parts[fmt::format("{} of nft table inet swnat", trimmed(line))] = nft_part(printed);
  }
  return parts;
}

Listing iptables_listing(std::string_view printed, Family family) {
  Listing parts;
  const std::string program = iptables_program(family);
  const std::string to_ours = fmt::format(" -j {}", iptables_prefix);
  std::string table;
  while (!printed.empty()) {
    const std::string_view line = take_line(printed);
    const auto name = [&](std::size_t first) {
      return std::string(line.substr(first, line.find(' ', first) - first));
    };
    if (line.starts_with('*')) {
      table = line.substr(1);
    } else if (line.starts_with(fmt::format(":{}", iptables_prefix))) {
      parts.try_emplace(fmt::format("chain {} of {} {}", name(1), program, table));
    } else if (line.starts_with("-A ")) {
      const std::string chain = name(3);
      const std::string rule = fmt::format("{}\n", line.substr(3 + chain.size()));
      if (chain.starts_with(iptables_prefix)) {
        parts[fmt::format("chain {} of {} {}", chain, program, table)] += rule;
      } else if (line.find(to_ours) != std::string_view::npos) {
        parts[fmt::format("jump from {} of {} {}", chain, program, table)] += rule;
      }
    }
  }
  return parts;
}

Listing list_nft_rules() {
  // Not the one table: for that nft fetches all elements even where it prints none.
  Listing parts = nft_listing(run_or_throw({"nft", "-s", "-n", "-t", "list", "ruleset", "inet"}));
  add_elements(parts);
  return parts;
}

Listing list_iptables_rules(bool are_expected) {
  Listing all;
  for (const Family family : all_families) all.merge(list_iptables(family, are_expected));
  return all;
}

bool is_iptables_in_nft() {
  for (const Family family : all_families) {
    const std::string program = iptables_program(family);
    if (!has_program(program)) continue;
    if (run({program, "--version"}).output.find("nf_tables") == std::string::npos) return false;
  }
  return true;
}

void RuleLister::begin(std::optional<std::uint32_t> generation) {
  if (generation && generation == generation_) return;
  generation_ = generation;
  nft_.reset();
  iptables_.reset();
}

RuleListing RuleLister::list(bool expects_iptables) {
  if (!nft_) nft_ = list_nft_rules();
  if (iptables_ && expected_iptables_ == expects_iptables) return {*nft_, *iptables_};
  RuleListing all{*nft_, list_iptables_rules(expects_iptables)};
  if (is_iptables_in_nft()) iptables_ = all.iptables;
  expected_iptables_ = expects_iptables;
  return all;
}

}  // namespace swnat::rules
