#include "swnat/address_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace swnat {
namespace {

constexpr std::size_t group_count = 8;  // of an IPv6 address
using Groups = std::array<std::uint16_t, group_count>;

// All of the text, digits only.
template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::string number_text(unsigned number, int base = 10) {
  std::array<char, 8> digits;
  const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
  return {digits.data(), result.ptr};
}

// Cuts off what lies before the separator, or all if there is none.
std::string_view take_piece(std::string_view& text, char separator) {
  const std::string_view piece = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(piece.size() + 1, text.size()));
  return piece;
}

std::optional<Ipv4Address> parse_ipv4(std::string_view text) {
  std::uint32_t address = 0;
  for (int i = 0; i < 4; ++i) {
    const bool is_last = i == 3;
    if (is_last == (text.find('.') != std::string_view::npos)) return std::nullopt;
    const std::string_view piece = take_piece(text, '.');
    const auto octet = parse_number<std::uint8_t>(piece);
    // Leading zeros are octal to some.
    if (!octet || (piece.size() > 1 && piece.front() == '0')) return std::nullopt;
    address = address << 8 | *octet;
  }
  return Ipv4Address::from_host(address);
}

Ipv6Address address_of(const Groups& groups) {
  std::array<std::uint8_t, 16> octets;
  for (std::size_t i = 0; i < group_count; ++i) {
    octets[2 * i] = static_cast<std::uint8_t>(groups[i] >> 8);
    octets[2 * i + 1] = static_cast<std::uint8_t>(groups[i]);
  }
  return Ipv6Address::of(octets);
}

// Groups of hexadecimal digits; "::" once for a run of zeros; the last two perhaps as IPv4 text.
std::optional<Ipv6Address> parse_ipv6(std::string_view text) {
  Groups groups{};
  std::size_t count = 0;
  std::optional<std::size_t> gap;  // how many groups are before the "::"
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    if (const bool is_ipv4 =
            text.find(':') == std::string_view::npos && text.find('.') != text.npos;
        is_ipv4) {
      const auto address = parse_ipv4(text);
      if (!address || count + 2 > group_count) return std::nullopt;
      groups[count++] = static_cast<std::uint16_t>(address->host() >> 16);
      groups[count++] = static_cast<std::uint16_t>(address->host());
      break;
    }
    const bool ends_in_colon = text.back() == ':' && text.find(':') == text.size() - 1;
    const std::string_view piece = take_piece(text, ':');
    const auto group = parse_number<std::uint16_t>(piece, 16);
    if (!group || piece.size() > 4 || count == group_count || ends_in_colon) return std::nullopt;
    groups[count++] = *group;
    if (!text.starts_with(':')) continue;
    if (gap) return std::nullopt;
    gap = count;
    text.remove_prefix(1);
  }
  if (gap ? count == group_count : count != group_count) return std::nullopt;
  if (gap) {
    const auto after = groups.begin() + static_cast<std::ptrdiff_t>(*gap);
    const auto end = groups.begin() + static_cast<std::ptrdiff_t>(count);
    std::fill(after, std::move_backward(after, end, groups.end()), std::uint16_t{0});
  }
  return address_of(groups);
}

std::string ipv4_text(Ipv4Address address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += number_text(address.host() >> shift & 0xff);
    if (shift != 0) text += '.';
  }
  return text;
}

struct Run {
  std::size_t first = 0;
  std::size_t size = 0;
};

// The first of the longest runs of zeros; one group alone is none (RFC 5952 section 4.2).
Run longest_zeros(const Groups& groups) {
  Run longest;
  for (std::size_t i = 0; i < group_count; ++i) {
    Run run{i, 0};
    while (run.first + run.size < group_count && groups[run.first + run.size] == 0) ++run.size;
    if (run.size > std::max<std::size_t>(longest.size, 1)) longest = run;
  }
  return longest;
}

std::string ipv6_text(const Ipv6Address& address) {
  const std::array<std::uint8_t, 16> octets = address.octets();
  Groups groups;
  for (std::size_t i = 0; i < group_count; ++i) {
    groups[i] = static_cast<std::uint16_t>(octets[2 * i] << 8 | octets[2 * i + 1]);
  }
  const Run zeros = longest_zeros(groups);
  // An IPv4 address in IPv6's clothes (RFC 5952 section 5).
  const bool ends_in_ipv4 =
      zeros.first == 0 && (zeros.size == 6 || (zeros.size == 5 && groups[5] == 0xffff));
  const std::size_t end = ends_in_ipv4 ? 6 : group_count;
  std::string text;
  for (std::size_t i = 0; i < end; ++i) {
    if (zeros.size != 0 && i == zeros.first) {
      text += "::";
      i += zeros.size - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    text += number_text(groups[i], 16);
  }
  if (!ends_in_ipv4) return text;
  if (text.back() != ':') text += ':';
  return text + ipv4_text(Ipv4Address::of(octets[12], octets[13], octets[14], octets[15]));
}

template <class Address>
Network<Address> masked(const Address& address, std::uint8_t length) {
  std::array<std::uint8_t, sizeof(Address)> octets;
  std::memcpy(octets.data(), &address, octets.size());
  for (std::size_t bit = length; bit < octets.size() * 8; ++bit) {
    octets[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> bit % 8));
  }
  Network<Address> network{{}, length};
  std::memcpy(&network.address, octets.data(), octets.size());
  return network;
}

bool is_ipv6(const IpAddress& address) {
  return std::holds_alternative<Ipv6Address>(address);
}

}  // namespace

std::string to_text(const IpAddress& address) {
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) return ipv4_text(*v4);
  return ipv6_text(std::get<Ipv6Address>(address));
}

std::string to_text(const IpEndpoint& endpoint) {
  const std::string host = to_text(endpoint.address);
  const std::string port = ":" + number_text(endpoint.port);
  return is_ipv6(endpoint.address) ? "[" + host + "]" + port : host + port;
}

std::string to_text(const IpNetwork& network) {
  return std::visit(
      [](const auto& one) {
        return to_text(IpAddress{one.address}) + "/" + number_text(one.length);
      },
      network);
}

std::optional<IpAddress> parse_address(std::string_view text) {
  if (const auto v4 = parse_ipv4(text)) return *v4;
  if (const auto v6 = parse_ipv6(text)) return *v6;
  return std::nullopt;
}

std::optional<IpEndpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const auto address = parse_address(host);
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  if (!address || is_ipv6(*address) != in_brackets || !port || *port == 0) return std::nullopt;
  return IpEndpoint{*address, *port};
}

std::optional<IpNetwork> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  const auto length = parse_number<std::uint8_t>(text.substr(slash + 1));
  if (!address || !length || *length > (is_ipv6(*address) ? 128 : 32)) return std::nullopt;
  return std::visit([&](const auto& one) { return IpNetwork{masked(one, *length)}; }, *address);
}

}  // namespace swnat
