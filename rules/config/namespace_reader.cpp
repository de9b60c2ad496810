#include "rules/config/namespace_reader.h"

#include <fmt/format.h>

#include <charconv>

#include "rules/config/networks.h"
#include "rules/config/value_reader.h"

namespace swnat::rules {
namespace {

constexpr std::string_view fwmark_allowed =
    "a number, or for a range text like \"1000-1999\", from 1 to 4294967295";

std::optional<std::uint32_t> parse_fwmark(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  std::uint32_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, hexadecimal ? 16 : 10);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<NamespaceRange> parse_fwmark_range(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_fwmark(text.substr(0, dash));
  const auto last = parse_fwmark(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  return NamespaceRange{*first, *last};
}

std::optional<Located<NamespaceRange>> read_fwmark(TableReader& table) {
  constexpr std::string_view key = "fwmark";
  const toml::node* node = table.node(key);
  if (node == nullptr) {
    table.missing(key, fmt::format("it names the tenant ({})", fwmark_allowed));
    return std::nullopt;
  }
  const std::uint32_t line = line_of(*node);
  std::optional<NamespaceRange> range;
  if (const auto* number = node->as_integer()) {
    if (number->get() < 0 || number->get() > 0xffff'ffff) {
      table.fault(key, line,
                  fmt::format("{} is no fwmark (allowed: {})", number->get(), fwmark_allowed));
      return std::nullopt;
    }
    const auto fwmark = static_cast<std::uint32_t>(number->get());
    range = NamespaceRange{fwmark, fwmark};
  } else if (const auto* text = node->as_string()) {
    range = parse_fwmark_range(text->get());
    if (!range) {
      table.fault(key, line,
                  fmt::format("\"{}\" is no fwmark (allowed: {})", text->get(), fwmark_allowed));
      return std::nullopt;
    }
    if (range->first >= range->last) {
      table.fault(
          key, line,
          fmt::format("\"{}\" is empty: the first fwmark must be below the last", text->get()));
      return std::nullopt;
    }
  } else {
    table.fault(key, line, fmt::format("must be {}, not {}", fwmark_allowed, kind_of(*node)));
    return std::nullopt;
  }
  if (range->first == 0) {
    table.fault(key, line, "0 means no namespace; it must be 1 or more");
    return std::nullopt;
  }
  return Located<NamespaceRange>{*range, line};
}

std::optional<Located<std::string>> read_name(TableReader& table) {
  constexpr std::size_t longest = 64;
  constexpr std::string_view key = "name";
  if (!table.has(key)) table.missing(key, "each namespace needs one");
  auto name = table.text(key);
  if (!name) return std::nullopt;
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (name->value.empty() || name->value.size() > longest ||
      name->value.find_first_not_of(allowed) != std::string::npos) {
    table.fault(key, name->line,
                fmt::format("\"{}\" is no name (allowed: 1 to {} of A-Z a-z 0-9 _ . -)",
                            name->value, longest));
    return std::nullopt;
  }
  return name;
}

std::optional<Located<Route>> read_route(TableReader& table) {
  if (!table.has("to")) table.missing("to", "the subnet behind the router");
  if (!table.has("via")) table.missing("via", "the router's address");
  const auto to_text = table.text("to");
  const auto via_text = table.text("via");
  const auto to = to_text ? read_subnet(table, "to", *to_text) : std::nullopt;
  const auto via =
      via_text ? read_address(table, "via", *via_text, LinkLocal::allowed) : std::nullopt;
  if (!to || !via) return std::nullopt;
  if (is_ipv6(*to) != is_ipv6(*via)) {
    table.fault("via", via_text->line,
                fmt::format("{} and {} are not of the same family", swnat::to_text(*via),
                            swnat::to_text(*to)));
    return std::nullopt;
  }
  return Located<Route>{{*to, *via}, to_text->line};
}

std::vector<Located<Route>> read_routes(TableReader& table) {
  constexpr std::string_view key = "routes";
  constexpr std::string_view allowed =
      "an array like [{ to = \"10.9.0.0/16\", via = \"10.0.0.254\" }]";
  const toml::node* node = table.node(key);
  if (node == nullptr) return {};
  const auto* array = node->as_array();
  if (array == nullptr) {
    table.fault(key, line_of(*node), fmt::format("must be {}, not {}", allowed, kind_of(*node)));
    return {};
  }
  std::vector<Located<Route>> routes;
  for (const toml::node& element : *array) {
    const auto* inner = element.as_table();
    if (inner == nullptr) {
      table.fault(key, line_of(element),
                  fmt::format("must be {}, not hold {}", allowed, kind_of(element)));
      continue;
    }
    TableReader reader(*inner, table.where() + " routes", line_of(element), table.faults());
    if (const auto route = read_route(reader)) routes.push_back(*route);
    reader.refuse_others();
  }
  return routes;
}

std::optional<std::uint32_t> key_line(TableReader& table, std::string_view key) {
  const toml::node* node = table.node(key);
  return node == nullptr ? std::nullopt : std::optional(line_of(*node));
}

}  // namespace

std::optional<std::uint32_t> read_limits(TableReader& table, std::uint32_t max_sessions,
                                         NamespacePolicy& policy) {
  assign(policy.session_limit, table.number("session_limit", 1, max_sessions));
  assign(policy.port_limit, table.number("port_limit", 0, max_sessions));
  const auto port_block = read_port_block(table);
  assign(policy.port_block, port_block);
  return port_block ? std::optional(port_block->line) : std::nullopt;
}

NamespaceDraft read_namespace(TableReader& table, std::uint32_t max_sessions,
                              const NamespacePolicy& limits) {
  NamespaceDraft draft;
  draft.line = table.line();
  draft.config.policy = limits;
  draft.name = read_name(table);
  draft.fwmark = read_fwmark(table);
  draft.interfaces = read_interfaces(table, "interfaces");
  draft.subnets = read_subnets(table, "subnets");
  draft.port_block_line = read_limits(table, max_sessions, draft.config.policy);
  draft.external = read_addresses(table, "external");
  if (const auto* list = table.node("external");
      list != nullptr && list->is_array() && list->as_array()->empty()) {
    table.fault("external", line_of(*list),
                "must not be empty; without the key the namespace may use all external addresses");
  }
  draft.routes = read_routes(table);
  draft.untranslated = read_subnets(table, "untranslated");
  draft.interfaces_line = key_line(table, "interfaces");
  draft.subnets_line = key_line(table, "subnets");
  draft.routes_line = key_line(table, "routes");
  return draft;
}

}  // namespace swnat::rules
