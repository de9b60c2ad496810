#include "rules/value_reader.h"

#include <fmt/format.h>
#include <net/if.h>

#include <charconv>

#include "rules/address_text.h"
#include "rules/duration.h"

namespace swnat::rules {
namespace {

template <class Number>
bool read_decimal(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size();
}

// What cannot be the address of a host, nor a part of a tenant's network.
constexpr Subnet this_network{Ipv4Address::of(0, 0, 0, 0), 8};
constexpr Subnet loopback{Ipv4Address::of(127, 0, 0, 0), 8};
constexpr Subnet multicast_and_reserved{Ipv4Address::of(224, 0, 0, 0), 3};

std::string_view unusable(const Subnet& subnet) {
  if (overlap(subnet, this_network)) return "0.0.0.0/8, which no host can have";
  if (overlap(subnet, loopback)) return "the loopback network 127.0.0.0/8";
  if (overlap(subnet, multicast_and_reserved)) return "multicast or reserved (224.0.0.0 and above)";
  return "";
}

bool refuse_ipv6(const TableReader& table, std::string_view key, const Located<std::string>& text) {
  if (!looks_like_ipv6(text.value)) return false;
  table.fault(key, text.line,
              fmt::format("IPv6 is not yet supported: \"{}\" (allowed: IPv4)", text.value));
  return true;
}

}  // namespace

std::optional<Ipv4Address> read_address(const TableReader& table, std::string_view key,
                                        const Located<std::string>& text) {
  if (refuse_ipv6(table, key, text)) return std::nullopt;
  const auto address = parse_ipv4(text.value);
  if (!address) {
    table.fault(key, text.line,
                fmt::format("\"{}\" is no IPv4 address, as in \"203.0.113.1\"", text.value));
    return std::nullopt;
  }
  const std::string_view why = unusable({*address, 32});
  if (!why.empty()) {
    table.fault(key, text.line,
                fmt::format("{} lies in {}; it must be a host's own address", text.value, why));
    return std::nullopt;
  }
  return address;
}

std::optional<Subnet> read_subnet(const TableReader& table, std::string_view key,
                                  const Located<std::string>& text) {
  if (refuse_ipv6(table, key, text)) return std::nullopt;
  const std::string_view whole = text.value;
  const std::size_t slash = whole.find('/');
  const auto address = parse_ipv4(whole.substr(0, slash));
  std::uint32_t length = 0;
  if (!address || slash == std::string_view::npos ||
      !read_decimal(whole.substr(slash + 1), length) || length > 32) {
    table.fault(key, text.line,
                fmt::format("\"{}\" is no IPv4 subnet, as in \"10.0.0.0/24\"", whole));
    return std::nullopt;
  }
  Subnet subnet{*address, static_cast<std::uint8_t>(length)};
  const auto network = Ipv4Address::from_host(address->host() & subnet_bits(subnet.length));
  if (network != *address) {
    table.fault(key, text.line,
                fmt::format("\"{}\" has host bits set; the subnet is \"{}/{}\"", whole,
                            to_text(network), length));
    return std::nullopt;
  }
  const std::string_view why = unusable(subnet);
  if (!why.empty()) {
    table.fault(key, text.line,
                fmt::format("{} contains {}; it must be hosts' own addresses", whole, why));
    return std::nullopt;
  }
  return subnet;
}

bool read_interface(const TableReader& table, std::string_view key,
                    const Located<std::string>& name) {
  // The kernel allows more, but these are safe in rules, scripts and paths. Two names below
  // /proc/sys/net/ipv4/conf mean no interface.
  constexpr std::string_view allowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  const std::string_view text = name.value;
  const bool odd = text.empty() || text.size() >= IFNAMSIZ || text.starts_with('-') ||
                   text.find_first_not_of(allowed) != std::string_view::npos || text == "." ||
                   text == ".." || text == "all" || text == "default";
  if (odd) {
    table.fault(key, name.line,
                fmt::format("\"{}\" is no interface name (allowed: 1 to {} of A-Z a-z 0-9 _ . -)",
                            text, IFNAMSIZ - 1));
  }
  return !odd;
}

std::vector<Located<Ipv4Address>> read_addresses(const TableReader& table, std::string_view key) {
  std::vector<Located<Ipv4Address>> addresses;
  for (const auto& text : table.texts(key)) {
    if (const auto address = read_address(table, key, text)) {
      addresses.push_back({*address, text.line});
    }
  }
  return addresses;
}

std::vector<Located<Subnet>> read_subnets(const TableReader& table, std::string_view key) {
  std::vector<Located<Subnet>> subnets;
  for (const auto& text : table.texts(key)) {
    if (const auto subnet = read_subnet(table, key, text)) subnets.push_back({*subnet, text.line});
  }
  return subnets;
}

std::vector<Located<std::string>> read_interfaces(const TableReader& table, std::string_view key) {
  std::vector<Located<std::string>> names;
  for (auto& name : table.texts(key)) {
    if (read_interface(table, key, name)) names.push_back(std::move(name));
  }
  return names;
}

std::optional<std::chrono::milliseconds> read_timeout(const TableReader& table,
                                                      std::string_view key, Zero zero) {
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

std::optional<PortRange> read_ports(const TableReader& table, std::string_view key) {
  const auto text = table.text(key);
  if (!text) return std::nullopt;
  const std::string_view whole = text->value;
  const std::size_t dash = whole.find('-');
  PortRange range;
  if (dash == std::string_view::npos || !read_decimal(whole.substr(0, dash), range.first) ||
      !read_decimal(whole.substr(dash + 1), range.last) || range.first == 0) {
    table.fault(
        key, text->line,
        fmt::format("\"{}\" is no port range (allowed: \"FIRST-LAST\" within 1-65535)", whole));
    return std::nullopt;
  }
  if (range.first > range.last) {
    table.fault(key, text->line,
                fmt::format("\"{}\" is empty: the first port must not be above the last", whole));
    return std::nullopt;
  }
  return range;
}

}  // namespace swnat::rules
