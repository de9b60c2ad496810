#include "rules/config/value_reader.h"

#include <fmt/format.h>
#include <grp.h>
#include <net/if.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "rules/config/networks.h"
#include "rules/text/duration.h"

namespace swnat::rules {
namespace {

template <class Number>
bool read_decimal(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

// What cannot be the address of a host, nor a part of a tenant's network.
struct Unusable {
  std::string_view network;
  std::string_view what;
};
constexpr Unusable unusable[] = {
    {"0.0.0.0/8", "0.0.0.0/8, which no host can have"},
    {"127.0.0.0/8", "the loopback network 127.0.0.0/8"},
    {"224.0.0.0/3", "multicast or reserved (224.0.0.0 and above)"},
    {"::/96", "::/96, which no host can have"},
    {"::ffff:0:0/96", "::ffff:0:0/96, which stands for IPv4 addresses"},
    {"fe80::/10", "the link-local network fe80::/10"},
    {"ff00::/8", "multicast (ff00::/8)"},
};

std::string_view why_unusable(const IpNetwork& network) {
  for (const Unusable& each : unusable) {
    if (overlap(network, parse_network(each.network).value())) return each.what;
  }
  return "";
}

bool is_usable(TableReader& table, std::string_view key, const Located<IpAddress>& address) {
  const std::string_view why = why_unusable(network_of(address.value));
  if (why.empty()) return true;
  table.fault(
      key, address.line,
      fmt::format("{} lies in {}; it must be a host's own address", to_text(address.value), why));
  return false;
}

std::optional<PortRange> parse_ports(TableReader& table, std::string_view key,
                                     const Located<std::string>& text, std::string_view allowed) {
  const std::string_view whole = text.value;
  const std::size_t dash = whole.find('-');
  PortRange range;
  if (dash == std::string_view::npos || !read_decimal(whole.substr(0, dash), range.first) ||
      !read_decimal(whole.substr(dash + 1), range.last) || range.first == 0) {
    table.fault(key, text.line,
                fmt::format("\"{}\" is no port range (allowed: {})", whole, allowed));
    return std::nullopt;
  }
  if (range.first > range.last) {
    table.fault(key, text.line,
                fmt::format("\"{}\" is empty: the first port must not be above the last", whole));
    return std::nullopt;
  }
  return range;
}

}  // namespace

std::optional<IpAddress> read_address(TableReader& table, std::string_view key,
                                      const Located<std::string>& text, LinkLocal allowed) {
  const auto address = parse_address(text.value);
  if (!address) {
    table.fault(
        key, text.line,
        fmt::format("\"{}\" is no address, as in \"203.0.113.1\" or \"2001:db8::1\"", text.value));
    return std::nullopt;
  }
  if (allowed == LinkLocal::allowed && is_link_local(*address)) {
    return address;
  }
  if (!is_usable(table, key, {*address, text.line})) return std::nullopt;
  return address;
}

std::optional<IpNetwork> read_subnet(TableReader& table, std::string_view key,
                                     const Located<std::string>& text) {
  const std::string_view whole = text.value;
  const auto subnet = parse_network(whole);
  if (!subnet) {
    table.fault(key, text.line,
                fmt::format("\"{}\" is no subnet, as in \"10.0.0.0/24\" or \"fd00::/64\"", whole));
    return std::nullopt;
  }
  if (parse_address(whole.substr(0, whole.find('/'))) != address_of(*subnet)) {
    table.fault(
        key, text.line,
        fmt::format("\"{}\" has host bits set; the subnet is \"{}\"", whole, to_text(*subnet)));
    return std::nullopt;
  }
  const std::string_view why = why_unusable(*subnet);
  if (!why.empty()) {
    table.fault(key, text.line,
                fmt::format("{} contains {}; it must be hosts' own addresses", whole, why));
    return std::nullopt;
  }
  return subnet;
}

bool read_interface(TableReader& table, std::string_view key, const Located<std::string>& name,
                    Patterns patterns) {
  // The kernel allows more, but these are safe in rules, scripts and paths. Two names below
  // /proc/sys/net/ipv4/conf mean no interface.
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  std::string_view text = name.value;
  const bool is_pattern = patterns == Patterns::allowed && text.ends_with('*');
  if (is_pattern) text.remove_suffix(1);
  const bool odd =
      text.empty() || text.size() >= IFNAMSIZ || text.starts_with('-') ||
      text.find_first_not_of(allowed) != std::string_view::npos ||
      (!is_pattern && (text == "." || text == ".." || text == "all" || text == "default"));
  if (odd) {
    table.fault(
        key, name.line,
        fmt::format("\"{}\" is no interface name (allowed: 1 to {} of A-Z a-z 0-9 _ . -{})",
                    name.value, IFNAMSIZ - 1,
                    patterns == Patterns::allowed ? ", and for those of a range a * behind" : ""));
  }
  return !odd;
}

std::vector<Located<IpAddress>> read_addresses(TableReader& table, std::string_view key) {
  std::vector<Located<IpAddress>> addresses;
  for (const auto& text : table.texts(key)) {
    if (const auto address = read_address(table, key, text)) {
      addresses.push_back({*address, text.line});
    }
  }
  return addresses;
}

std::vector<Located<IpNetwork>> read_subnets(TableReader& table, std::string_view key) {
  std::vector<Located<IpNetwork>> subnets;
  for (const auto& text : table.texts(key)) {
    if (const auto subnet = read_subnet(table, key, text)) subnets.push_back({*subnet, text.line});
  }
  return subnets;
}

std::vector<Located<std::string>> read_interfaces(TableReader& table, std::string_view key) {
  std::vector<Located<std::string>> names;
  for (auto& name : table.texts(key)) {
    if (read_interface(table, key, name, Patterns::allowed)) names.push_back(std::move(name));
  }
  return names;
}

std::optional<std::chrono::milliseconds> read_timeout(TableReader& table, std::string_view key,
                                                      Zero zero) {
  constexpr std::string_view allowed =
      "a number of seconds, or text like \"2h4m\", \"90s\" or \"1d\", up to 7 days";
  const toml::node* node = table.node(key);
  if (node == nullptr) return std::nullopt;
  const std::uint32_t line = line_of(*node);
  std::chrono::seconds time{0};
  if (const auto* number = node->as_integer()) {
    time = std::chrono::seconds(number->get());
  } else if (const auto* text = node->as_string()) {
    const auto parsed = parse_duration(text->get());
    if (!parsed) {
      table.fault(key, line, fmt::format("\"{}\" is no time (allowed: {})", text->get(), allowed));
      return std::nullopt;
    }
    time = *parsed;
  } else {
    table.fault(key, line, fmt::format("must be {}, not {}", allowed, kind_of(*node)));
    return std::nullopt;
  }
  const std::int64_t least = zero == Zero::allowed ? 0 : 1;
  constexpr auto most = std::chrono::duration_cast<std::chrono::seconds>(max_timeout);
  if (time.count() < least || time > most) {
    table.fault(key, line,
                fmt::format("must be from {} second{} to 7 days (604800), not {}", least,
                            least == 1 ? "" : "s", time.count()));
    return std::nullopt;
  }
  return time;
}

std::optional<PortRanges> read_port_ranges(TableReader& table, std::string_view key) {
  constexpr std::string_view allowed = "\"FIRST-LAST\" within 1-65535, or an array of such texts";
  const toml::node* node = table.node(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_array()) {
    const auto text = table.text(key);
    const auto range = text ? parse_ports(table, key, *text, allowed) : std::nullopt;
    return range ? std::optional<PortRanges>(*range) : std::nullopt;
  }
  const std::vector<Located<std::string>> texts = table.texts(key);
  const std::size_t count = node->as_array()->size();
  if (count == 0 || count > port_ranges_max) {
    table.fault(key, line_of(*node),
                fmt::format("must hold 1 to {} ranges, not {}", port_ranges_max, count));
    return std::nullopt;
  }
  std::vector<PortRange> ranges;
  bool is_sound = texts.size() == count;
  for (const auto& text : texts) {
    const auto range = parse_ports(table, key, text, allowed);
    const auto same = std::ranges::find_if(ranges, [&](const PortRange& other) {
      return range && other.first <= range->last && range->first <= other.last;
    });
    if (same != ranges.end()) {
      table.fault(key, text.line,
                  fmt::format("\"{}\" overlaps \"{}-{}\"", text.value, same->first, same->last));
    }
    is_sound = is_sound && range && same == ranges.end();
    if (range) ranges.push_back(*range);
  }
  return is_sound ? std::optional<PortRanges>(std::move(ranges)) : std::nullopt;
}

std::optional<Located<PortRange>> read_port_or_ports(TableReader& table, std::string_view key) {
  constexpr std::string_view allowed = "a number, or text like \"6881-6889\", within 1-65535";
  const toml::node* node = table.node(key);
  if (node == nullptr) return std::nullopt;
  const std::uint32_t line = line_of(*node);
  if (const auto* text = node->as_string()) {
    const auto range = parse_ports(table, key, {text->get(), line}, allowed);
    if (!range) return std::nullopt;
    return Located<PortRange>{*range, line};
  }
  if (!node->is_integer()) {
    table.fault(key, line, fmt::format("must be {}, not {}", allowed, kind_of(*node)));
    return std::nullopt;
  }
  const auto number = table.number(key, 1, 65'535);
  if (!number) return std::nullopt;
  const auto port = static_cast<std::uint16_t>(number->value);
  return Located<PortRange>{{port, port}, line};
}

std::optional<Located<std::uint32_t>> read_port_block(TableReader& table) {
  constexpr std::string_view key = "port_block";
  const auto size = table.number(key, 0, port_block_max);
  if (!size || size->value == 0) return size;
  if (size->value >= port_block_min && std::has_single_bit(size->value)) return size;
  table.fault(key, size->line,
              fmt::format("must be 0 for no blocks, or a power of two from {} to {}, not {}",
                          port_block_min, port_block_max, size->value));
  return std::nullopt;
}

std::optional<std::string> read_path(TableReader& table, std::string_view key,
                                     std::size_t longest) {
  const auto path = table.text(key);
  if (!path) return std::nullopt;
  if (!path->value.starts_with('/') || path->value.ends_with('/') || path->value.size() > longest ||
      path->value.find('\0') != std::string::npos) {
    table.fault(
        key, path->line,
        fmt::format("\"{}\" is no file's path (allowed: an absolute path of at most {} bytes)",
                    path->value, longest));
    return std::nullopt;
  }
  return path->value;
}

std::optional<IpEndpoint> read_listen(TableReader& table, std::string_view key) {
  const auto text = table.text(key);
  if (!text) return std::nullopt;
  const auto endpoint = parse_endpoint(text->value);
  if (!endpoint) {
    table.fault(key, text->line,
                fmt::format("\"{}\" is no address and port, as in \"127.0.0.1:9469\" or "
                            "\"[::1]:9469\"",
                            text->value));
  }
  return endpoint;
}

std::optional<Group> read_group(TableReader& table, std::string_view key) {
  const auto name = table.text(key);
  if (!name) return std::nullopt;
  const struct group* found = ::getgrnam(name->value.c_str());
  if (found != nullptr && found->gr_name == name->value) return Group{name->value, found->gr_gid};
  table.fault(key, name->line,
              fmt::format("\"{}\" is no group of this machine (allowed: a name that `getent group` "
                          "shows)",
                          name->value));
  return std::nullopt;
}

std::optional<Located<IpEndpoint>> read_endpoint(TableReader& table, std::string_view key,
                                                 std::string_view meaning) {
  constexpr std::string_view example = "\"203.0.113.1:80\" or \"[2001:db8::1]:80\"";
  if (!table.has(key)) table.missing(key, fmt::format("{}, as in {}", meaning, example));
  const auto text = table.text(key);
  if (!text) return std::nullopt;
  const auto endpoint = parse_endpoint(text->value);
  if (!endpoint) {
    table.fault(key, text->line,
                fmt::format("\"{}\" is no address and port, as in {}", text->value, example));
    return std::nullopt;
  }
  if (!is_usable(table, key, {endpoint->address, text->line})) return std::nullopt;
  return Located<IpEndpoint>{*endpoint, text->line};
}

}  // namespace swnat::rules
