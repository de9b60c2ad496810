#include "rules/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "rules/iptables_text.h"
#include "rules/kernel.h"
#include "rules/process.h"

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

// "a, b" with any spaces between, in an order of its own: the kernel's may change.
std::string sorted_elements(std::string_view list) {
  std::vector<std::string_view> elements;
  while (!list.empty()) {
    const std::string_view element = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), element.size() + 1));
    elements.push_back(trimmed(element));
  }
  std::sort(elements.begin(), elements.end());
  std::string text = "elements:";
  for (const std::string_view element : elements) text += fmt::format(" {},", element);
  return text + '\n';
}

// One chain, set, map or counter of a table, from behind its first line to its last.
std::string nft_part(std::string_view& rest) {
  constexpr std::string_view begin = "elements = {";
  std::string text;
  std::string elements;
  bool is_inside = false;
  bool is_dynamic = false;
  while (!rest.empty()) {
    const std::string_view whole = take_line(rest);
    if (whole == "\t}") break;
    std::string_view line = trimmed(whole);
    if (line.starts_with("flags ") && line.find("dynamic") != std::string_view::npos) {
      is_dynamic = true;
    }
    if (!is_inside && !line.starts_with(begin)) {
      text += fmt::format("{}\n", line);
      continue;
    }
    if (!is_inside) line.remove_prefix(begin.size());
    is_inside = !line.ends_with('}');
    if (!is_inside) line.remove_suffix(1);
    elements += fmt::format("{} ", line);
  }
  if (!elements.empty() && !is_dynamic) text += sorted_elements(trimmed(elements));
  return text;
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
  while (!printed.empty()) {
    std::string_view line = take_line(printed);
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
  const ProcessResult listed = run({"nft", "-s", "-n", "list", "table", "inet", "swnat"});
  if (listed.exit_code == 0) return nft_listing(listed.output);
  if (listed.error.find("No such file") != std::string::npos) return {};
  throw KernelError(fmt::format("nft failed: {}", in_short(listed.error)));
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
