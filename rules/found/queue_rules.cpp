#include "rules/found/queue_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "rules/found/json_text.h"
#include "rules/iptables/chains.h"

namespace swnat::rules {
namespace {

using Json = nlohmann::json;

void add_range(std::uint32_t first, std::uint32_t last, std::vector<std::uint16_t>& queues) {
  for (std::uint32_t queue = first; queue <= std::min(last, 65'535u); ++queue) {
    const auto number = static_cast<std::uint16_t>(queue);
    if (std::find(queues.begin(), queues.end(), number) == queues.end()) queues.push_back(number);
  }
}

// A number, a range, or a map whose values are such; of other expressions nothing is known.
void add_numbers(const Json& number, std::vector<std::uint16_t>& queues) {
  if (number.is_number_unsigned()) {
    add_range(number.get<std::uint32_t>(), number.get<std::uint32_t>(), queues);
  } else if (number.is_object() && number.contains("range")) {
    const Json& range = number["range"];
    if (range.size() != 2 || !range[0].is_number_unsigned() || !range[1].is_number_unsigned())
      return;
    add_range(range[0].get<std::uint32_t>(), range[1].get<std::uint32_t>(), queues);
  } else if (number.is_object() && number.contains("map")) {
    const Json& map = number["map"];
    if (!map.contains("data") || !map["data"].is_object() || !map["data"].contains("set")) return;
    for (const Json& element : map["data"]["set"]) {
      if (element.is_array() && element.size() == 2) add_numbers(element[1], queues);
    }
  }
}

std::vector<std::uint16_t> queues_of(const Json& rule) {
  std::vector<std::uint16_t> queues;
  if (!rule.contains("expr")) return queues;
  for (const Json& statement : rule["expr"]) {
    if (!statement.is_object() || !statement.contains("queue")) continue;
    const Json& queue = statement["queue"];
    add_numbers(queue.is_object() && queue.contains("num") ? queue["num"] : Json(0u), queues);
  }
  return queues;
}

// What iptables keeps in nft it tells better itself.
bool is_of_iptables(const Json& rule) {
  const std::string family = json_text(rule, "family");
  const std::string table = json_text(rule, "table");
  constexpr std::string_view tables[] = {"raw", "mangle", "nat", "filter", "security"};
  return (family == "ip" || family == "ip6") &&
         std::find(std::begin(tables), std::end(tables), table) != std::end(tables);
}

// What follows an option of this name in a rule.
std::optional<std::string_view> option(std::string_view rule, std::string_view name) {
  const std::size_t place = rule.find(name);
  if (place == std::string_view::npos) return std::nullopt;
  rule.remove_prefix(place + name.size());
  return rule.substr(0, rule.find_first_of(" \n"));
}

std::uint32_t number(std::string_view text) {
  std::uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::uint16_t> iptables_queues(std::string_view rule) {
  std::vector<std::uint16_t> queues;
  if (const auto range = option(rule, "--queue-balance ")) {
    const std::size_t colon = std::min(range->find(':'), range->size());
    const std::uint32_t first = number(*range);
    const bool has_last = colon < range->size();
    add_range(first, has_last ? number(range->substr(colon + 1)) : first, queues);
  } else {
    const auto one = option(rule, "--queue-num ");
    const std::uint32_t queue = one ? number(*one) : 0;
    add_range(queue, queue, queues);
  }
  return queues;
}

}  // namespace

std::vector<QueueRule> nft_queue_rules(std::string_view printed) {
  std::vector<QueueRule> rules;
  const Json json = Json::parse(printed, nullptr, false);
  if (!json.is_object() || !json.contains("nftables")) return rules;
  for (const Json& object : json["nftables"]) {
    if (!object.is_object() || !object.contains("rule")) continue;
    const Json& rule = object["rule"];
    std::vector<std::uint16_t> queues = queues_of(rule);
    if (queues.empty() || is_of_iptables(rule)) continue;
    const std::string table =
        fmt::format("{} {}", json_text(rule, "family"), json_text(rule, "table"));
    rules.push_back({fmt::format("chain {} of nft table {}", json_text(rule, "chain"), table),
                     std::move(queues), table == "inet swnat"});
  }
  return rules;
}

std::vector<QueueRule> iptables_queue_rules(std::string_view printed, Family family) {
  std::vector<QueueRule> rules;
  std::string_view table;
  while (!printed.empty()) {
    const std::string_view line = printed.substr(0, printed.find('\n'));
    printed.remove_prefix(std::min(printed.size(), line.size() + 1));
    if (line.starts_with('*')) table = line.substr(1);
    if (!line.starts_with("-A ") || line.find(" -j NFQUEUE") == std::string_view::npos) continue;
    const std::string_view chain = line.substr(3, line.find(' ', 3) - 3);
    rules.push_back({fmt::format("chain {} of {} {}", chain, iptables_program(family), table),
                     iptables_queues(line), chain.starts_with(iptables_prefix)});
  }
  return rules;
}

bool is_daemons_queue(std::uint16_t queue, const Config& config) {
  return queue >= config.first_queue && queue < config.first_queue + config.workers;
}

std::vector<QueueRule> queue_rules(const PrintedRules& printed) {
  std::vector<QueueRule> all = nft_queue_rules(printed.nft);
  for (std::size_t i = 0; i < std::size(all_families); ++i) {
    std::ranges::move(iptables_queue_rules(printed.iptables[i], all_families[i]),
                      std::back_inserter(all));
  }
  return all;
}

}  // namespace swnat::rules
