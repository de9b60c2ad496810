#include "rules/address_text.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace swnat::rules {
namespace {

template <class Number>
std::optional<Number> parse_decimal(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
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

}  // namespace

std::string to_text(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = is_ipv6(address) ? AF_INET6 : AF_INET;
  std::visit([&](const auto& one) { inet_ntop(family, &one, text.data(), text.size()); }, address);
  return text.data();
}

std::string to_text(const IpEndpoint& endpoint) {
  const std::string host = to_text(endpoint.address);
  if (is_ipv6(endpoint.address)) return fmt::format("[{}]:{}", host, endpoint.port);
  return fmt::format("{}:{}", host, endpoint.port);
}

std::string to_text(const IpNetwork& network) {
  return fmt::format("{}/{}", to_text(address_of(network)), length_of(network));
}

std::optional<IpAddress> parse_address(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  in_addr v4{};
  if (inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return Ipv4Address{v4.s_addr};
  std::array<std::uint8_t, 16> v6{};
  if (inet_pton(AF_INET6, terminated.c_str(), v6.data()) == 1) return Ipv6Address::of(v6);
  return std::nullopt;
}

std::optional<IpEndpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool in_brackets = host.starts_with('[') && host.ends_with(']');
  if (in_brackets) host = host.substr(1, host.size() - 2);
  const auto address = parse_address(host);
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
  if (!address || is_ipv6(*address) != in_brackets || !port || *port == 0) return std::nullopt;
  return IpEndpoint{*address, *port};
}

std::optional<IpNetwork> parse_network(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  const auto length = parse_decimal<std::uint8_t>(text.substr(slash + 1));
  if (!address || !length || *length > (is_ipv6(*address) ? 128 : 32)) return std::nullopt;
  return std::visit([&](const auto& one) { return IpNetwork{masked(one, *length)}; }, *address);
}

bool is_link_local(const IpAddress& address) {
  return contains(parse_network("fe80::/10").value(), address);
}

IpNetwork network_of(const IpAddress& address) {
  return std::visit(
      [](const auto& one) {
        return IpNetwork{Network<std::decay_t<decltype(one)>>{one, sizeof(one) * 8}};
      },
      address);
}

IpAddress address_of(const IpNetwork& network) {
  return std::visit([](const auto& one) { return IpAddress{one.address}; }, network);
}

std::uint8_t length_of(const IpNetwork& network) {
  return std::visit([](const auto& one) { return one.length; }, network);
}

bool contains(const IpNetwork& network, const IpAddress& address) {
  return std::visit(
      []<class A, class B>(const Network<A>& wide, const B& one) {
        if constexpr (std::is_same_v<A, B>) return wide.contains(one);
        return false;
      },
      network, address);
}

bool overlap(const IpNetwork& a, const IpNetwork& b) {
  const bool a_is_wider = length_of(a) <= length_of(b);
  return contains(a_is_wider ? a : b, address_of(a_is_wider ? b : a));
}

}  // namespace swnat::rules
