#include "nfq/session_request.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "nfq/error.h"
#include "nfq/namespace_request.h"
#include "nfq/protocol_name.h"
#include "rules/config/networks.h"
#include "rules/text/duration.h"
#include "rules/text/request_words.h"
#include "rules/text/suggestion.h"

namespace swnat::nfq {
namespace {

using Words = std::span<const std::string_view>;

[[noreturn]] void refuse(std::string_view text, std::string_view what, std::string_view allowed,
                         const Words& words = {}) {
  throw Error(fmt::format("'{}' is no {}{} (allowed: {})", text, what,
                          rules::did_you_mean(text, words), allowed));
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

std::uint8_t read_protocol(std::string_view text) {
  const auto number = protocol_number(text);
  if (!number) refuse(text, "protocol", rules::allowed_protocols, rules::protocol_names());
  return *number;
}

std::optional<PortRange> parse_ports(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_number<std::uint16_t>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : parse_number<std::uint16_t>(text.substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return PortRange{*first, *last};
}

std::optional<IpNetwork> parse_addresses(std::string_view text) {
  if (const auto address = parse_address(text)) return rules::network_of(*address);
  return parse_network(text);
}

// Addresses, ports, or both with ":" between them; then those of IPv6 stand in brackets.
EndpointPattern read_endpoint(std::string_view text) {
  std::string_view addresses = text;
  std::string_view ports;
  const std::size_t colon = text.rfind(':');
  const bool has_brackets = text.starts_with('[');
  if (has_brackets) {
    const std::size_t end = text.find(']');
    addresses = text.substr(1, end == std::string_view::npos ? end : end - 1);
    ports = end == std::string_view::npos ? ":" : text.substr(end + 1);
  } else if (colon != std::string_view::npos && text.find(':') == colon) {
    addresses = text.substr(0, colon);
    ports = text.substr(colon);
  }
  EndpointPattern pattern;
  if (!addresses.empty()) pattern.network = parse_addresses(addresses);
  bool is_right = addresses.empty() ? !ports.empty() && !has_brackets : pattern.network.has_value();
  if (!ports.empty()) {
    const auto range = ports.front() == ':' ? parse_ports(ports.substr(1)) : std::nullopt;
    is_right = is_right && range;
    pattern.ports = range.value_or(PortRange{});
  }
  if (!is_right) {
    refuse(text, "address or port",
           "an address or network, :PORT or :FIRST-LAST, or both: 10.0.0.0/24:80, [fd00::2]:80");
  }
  return pattern;
}

std::string read_state(std::string_view text) {
  if (!is_session_state(text)) {
    refuse(text, "state of a session", fmt::format("{}", fmt::join(rules::session_states, ", ")),
           rules::session_states);
  }
  return std::string(text);
}

struct TimeRange {
  std::chrono::milliseconds at_least{0};
  std::chrono::milliseconds at_most = std::chrono::milliseconds::max();
};

// `what` and `allowed` are for people.
TimeRange read_times(std::string_view text, std::chrono::seconds longest, std::string_view what,
                     std::string_view allowed) {
  const bool is_shorter = text.starts_with('<');
  const std::string_view time = text.substr(is_shorter || text.starts_with('>') ? 1 : 0);
  std::optional<std::chrono::seconds> duration = rules::parse_duration(time);
  if (const auto number = parse_number<std::uint32_t>(time)) duration.emplace(*number);
  if (!duration || *duration > longest) refuse(text, what, allowed);
  if (is_shorter) return {.at_most = *duration - std::chrono::milliseconds(1)};
  return {.at_least = *duration};
}

void read_idle(std::string_view text, SessionPattern& pattern) {
  const TimeRange idle = read_times(text, std::chrono::seconds::max(), "idle time",
                                    "seconds or text like 5m or 2h4m; <5m for shorter ones");
  pattern.idle_at_least = idle.at_least;
  pattern.idle_at_most = idle.at_most;
}

void read_age(std::string_view text, SessionPattern& pattern) {
  static_assert(session_age_max == std::chrono::hours(24 * 30));
  const TimeRange age =
      read_times(text, std::chrono::duration_cast<std::chrono::seconds>(session_age_max), "age",
                 "seconds or text like 5m or 2h4m, up to 30d, which is told of older ones, too; "
                 "<5m for younger ones");
  pattern.age_at_least = age.at_least;
  pattern.age_at_most = age.at_most;
}

}  // namespace

SessionPattern requested_sessions(const nlohmann::ordered_json& request,
                                  const rules::Config& config) {
  SessionPattern pattern;
  const auto read = [&](const char* key, auto&& take) {
    const auto found = request.find(key);
    if (found == request.end()) return;
    if (!found->is_string()) throw Error(fmt::format("'{}' must be text", key));
    take(found->template get_ref<const std::string&>());
  };
  using Text = std::string_view;
  read("namespace", [&](Text text) { pattern.namespaces = requested_namespaces(text, config); });
  read("protocol", [&](Text text) { pattern.protocol = read_protocol(text); });
  read("internal", [&](Text text) { pattern.internal = read_endpoint(text); });
  read("external", [&](Text text) { pattern.external = read_endpoint(text); });
  read("remote", [&](Text text) { pattern.remote = read_endpoint(text); });
  read("state", [&](Text text) { pattern.state = read_state(text); });
  read("idle", [&](Text text) { read_idle(text, pattern); });
  read("age", [&](Text text) { read_age(text, pattern); });
  return pattern;
}

}  // namespace swnat::nfq
