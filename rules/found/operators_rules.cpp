#include "rules/found/operators_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "rules/found/json_text.h"
#include "rules/routes/policy_route.h"
#include "rules/text/lines.h"
#include "rules/wanted/family.h"

namespace swnat::rules {
namespace {

using Json = nlohmann::json;

// The kernel puts fragments together at this priority of prerouting.
constexpr int defragmentation = -400;

// Bits of a fwmark, and what they are; with no bits nothing is known, and it may be any.
struct Marking {
  std::uint32_t value = 0;
  std::uint32_t bits = 0;
};

// Those that some rules set or ask for, under the mask: of thousands of rules, for thousands of
// namespaces.
class Markings {
 public:
  explicit Markings(std::uint32_t mask) : mask_(mask) {}

  void add(const Marking& marking) {
    const std::uint32_t bits = marking.bits & mask_;
    const std::uint32_t value = marking.value & bits;
    if (bits == mask_) {
      whole_.insert(value);
    } else {
      partial_.emplace(bits, value);
    }
  }

  // Whether a packet with one of them may be the namespace's.
  bool have(const NamespaceConfig& one) const {
    const auto whole = whole_.lower_bound(one.fwmark_first());
    if (whole != whole_.end() && *whole <= one.fwmark_last()) return true;
    return std::any_of(partial_.begin(), partial_.end(), [&](const auto& partial) {
      const auto& [bits, value] = partial;
      for (std::uint64_t fwmark = one.fwmark_first(); fwmark <= one.fwmark_last(); ++fwmark) {
        if ((fwmark & bits) == value) return true;
      }
      return false;
    });
  }

 private:
  std::uint32_t mask_;
  std::set<std::uint32_t> whole_;
  std::set<std::pair<std::uint32_t, std::uint32_t>> partial_;  // bits and value
};

// What the rules of nft set, but for ours: fwmarks, and what keeps fragments apart.
struct NftRules {
  Markings markings;
  bool keeps_fragments_apart = false;
};

bool is_key(const Json& statement, const char* of, const char* key) {
  const Json& left = statement.value("key", Json::object());
  return left.is_object() && left.contains(of) && json_text(left[of], "key") == key;
}

NftRules nft_rules(const std::string& printed, std::uint32_t mask) {
  NftRules found{.markings = Markings(mask)};
  std::set<std::string> early;  // tables with a chain before fragments are put together
  std::set<std::string> untracking;
  const Json json = Json::parse(printed, nullptr, false);
  if (!json.is_object() || !json.contains("nftables")) return found;
  for (const Json& object : json["nftables"]) {
    if (!object.is_object()) continue;
    for (const auto& [kind, body] : object.items()) {
      if (!body.is_object()) continue;
      const std::string table =
          fmt::format("{} {}", json_text(body, "family"), json_text(body, "table"));
      if (table == "inet swnat") continue;
      const Json& priority = body.value("prio", Json());
      if (kind == "chain" && json_text(body, "hook") == "prerouting" &&
          priority.is_number_integer() && priority.get<int>() < defragmentation) {
        early.insert(table);
      }
      if (kind != "rule" || !body.contains("expr")) continue;
      for (const Json& statement : body["expr"]) {
        if (!statement.is_object()) continue;
        if (statement.contains("notrack")) untracking.insert(table);
        if (!statement.contains("mangle") || !statement["mangle"].is_object()) continue;
        const Json& mangle = statement["mangle"];
        if (is_key(mangle, "ct", "zone")) untracking.insert(table);
        if (!is_key(mangle, "meta", "mark")) continue;
        const Json& value = mangle.value("value", Json());
        found.markings.add(value.is_number_unsigned()
                               ? Marking{value.get<std::uint32_t>(), 0xffff'ffff}
                               : Marking{});
      }
    }
  }
  found.keeps_fragments_apart =
      std::any_of(untracking.begin(), untracking.end(),
                  [&](const std::string& table) { return early.contains(table); });
  return found;
}

// "0x3e8/0xffff", "1000": value and bits.
Marking marking_of(const std::string& words) {
  const std::size_t slash = words.find('/');
  const auto number = [](const std::string& digits) {
    return static_cast<std::uint32_t>(std::strtoull(digits.c_str(), nullptr, 0));
  };
  return {number(words),
          slash == std::string::npos ? 0xffff'ffff : number(words.substr(slash + 1))};
}

void add_iptables_markings(std::string_view saved, Markings& markings) {
  while (!saved.empty()) {
    const std::string_view line = saved.substr(0, saved.find('\n'));
    saved.remove_prefix(std::min(saved.size(), line.size() + 1));
    // From a connection, from an element of an ipset, or by a hash.
    constexpr std::string_view unknown[] = {" --restore-mark", " --map-mark", " -j HMARK "};
    // Replaces the bits of its mask, as the other does; TPROXY so for what it gives to a socket.
    constexpr std::string_view known[] = {" -j MARK --set-xmark ", " --tproxy-mark "};
    for (const std::string_view option : unknown) {
      if (line.find(option) != std::string_view::npos) markings.add({});
    }
    for (const std::string_view option : known) {
      const std::size_t place = line.find(option);
      if (place == std::string_view::npos) continue;
      const std::string_view rest = line.substr(place + option.size());
      markings.add(marking_of(std::string(rest.substr(0, rest.find(' ')))));
    }
  }
}

// What others' `ip rule`s of one family ask of the fwmark.
Markings routed(const std::string& printed, std::uint32_t mask) {
  Markings all(mask);
  const Json json = Json::parse(printed, nullptr, false);
  if (!json.is_array()) return all;
  for (const Json& rule : json) {
    if (!rule.is_object() || !rule.contains("fwmark")) continue;
    if (json_text(rule, "protocol") == std::to_string(route_protocol)) continue;
    const std::string bits = rule.contains("fwmask") ? "/" + json_text(rule, "fwmask") : "";
    all.add(marking_of(json_text(rule, "fwmark") + bits));
  }
  return all;
}

std::string name_of(const NamespaceConfig& one) {
  return one.fwmark_first() == one.fwmark_last()
             ? fmt::format("namespace {} (fwmark {})", one.name, one.fwmark_first())
             : fmt::format("namespace {} (fwmarks {}-{})", one.name, one.fwmark_first(),
                           one.fwmark_last());
}

// With subnets it is known which families it has; without them, one with a way back is enough.
void add_unrouted(const NamespaceConfig& one, const std::array<Markings, 2>& ways,
                  std::vector<std::string>& lines) {
  std::vector<std::string_view> without;
  bool has_any = false;
  for (std::size_t i = 0; i < std::size(all_families); ++i) {
    const Family family = all_families[i];
    const bool has_way = ways[i].have(one);
    has_any = has_any || has_way;
    if (!has_way && !texts(one.subnets, family).empty()) without.push_back(ip_option(family));
  }
  if (one.subnets.empty() && !has_any) without.emplace_back("");
  for (const std::string_view option : without) {
    lines.push_back(
        fmt::format("no `ip {}{}rule` looks at a fwmark of {}: what comes back to it is routed as"
                    " if it had none",
                    option, option.empty() ? "" : " ", name_of(one)));
  }
}

bool has_interfaces(const NamespaceConfig& one) {
  return !one.is_unplaced();
}

}  // namespace

bool needs_operators_rules(const Config& config) {
  return !std::all_of(config.namespaces.begin(), config.namespaces.end(), has_interfaces);
}

std::vector<std::string> missing_operators_rules(const Config& config,
                                                 const PrintedRules& printed) {
  const std::uint32_t mask = config.fwmark_mask;
  NftRules nft = nft_rules(printed.nft, mask);
  for (const std::string& saved : printed.iptables) add_iptables_markings(saved, nft.markings);
  const std::array<Markings, 2> ways{routed(printed.routing[0], mask),
                                     routed(printed.routing[1], mask)};
  std::vector<std::string> unmarked;
  std::vector<std::string> unrouted;
  for (const NamespaceConfig& each : config.namespaces) {
    if (has_interfaces(each)) continue;
    if (!nft.markings.have(each)) {
      unmarked.push_back(
          fmt::format("no rule of nft or iptables sets a fwmark of {}: unless another program does,"
                      " no packet is its",
                      name_of(each)));
    }
    add_unrouted(each, ways, unrouted);
  }
  std::vector<std::string> lines;
  append_shortened(lines, std::move(unmarked), "namespaces have fwmarks that no such rule sets");
  append_shortened(lines, std::move(unrouted),
                   "ways back of namespaces are looked at by no `ip rule`");
  if (needs_operators_rules(config) && !nft.keeps_fragments_apart) {
    lines.push_back(
        fmt::format("no chain of nft with a priority below {} sets notrack or a conntrack zone:"
                    " fragments of namespaces without interfaces may be mixed up with others'",
                    defragmentation));
  }
  return lines;
}

}  // namespace swnat::rules
