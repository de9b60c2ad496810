#include "tools/record_search.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "rules/text/utc_text.h"
#include "tools/swnatctl_connection.h"
#include "tools/swnatctl_json.h"

namespace swnat::ctl {
namespace {

// {"time":"2026-11-29T12:00:00.123Z","event":"mapping_made",…
constexpr std::string_view before_time = R"({"time":")";
constexpr std::string_view before_event = R"(","event":")";
constexpr std::size_t event_at = before_time.size() + rules::utc_text_length + before_event.size();

bool has_shape(std::string_view line) {
  return line.size() > event_at && line.starts_with(before_time) &&
         line.substr(before_time.size() + rules::utc_text_length).starts_with(before_event);
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// As records have it, whatever way it was written.
std::optional<std::string> canonical(const std::string& address) {
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  std::array<unsigned char, 16> bytes{};
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_pton(family, address.c_str(), bytes.data()) != 1) return std::nullopt;
  return ::inet_ntop(family, bytes.data(), text.data(), text.size());
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return port;
}

}  // namespace

SoughtEndpoint parse_sought(std::string_view text) {
  std::string_view address = text;
  std::optional<std::uint16_t> port;
  const std::size_t colon = text.rfind(':');
  const bool is_in_brackets = text.starts_with('[');
  const bool has_port =
      is_in_brackets || (colon != std::string_view::npos && text.find(':') == colon);
  if (has_port && colon != std::string_view::npos) {
    port = parse_port(text.substr(colon + 1));
    address = text.substr(0, colon);
    if (is_in_brackets) {
      address = address.ends_with(']') ? address.substr(1, address.size() - 2) : "";
    }
  }
  const auto known = canonical(std::string(address));
  if (!known || has_port != port.has_value()) {
    throw UsageError(
        fmt::format("'{}' is no external endpoint (allowed: \"203.0.113.1:40123\" or "
                    "\"[2001:db8::1]:40123\"; for protocols without ports an address alone)",
                    text));
  }
  if (!port) return {*known, *known, port};
  const std::string shown =
      known->find(':') == std::string::npos ? *known : fmt::format("[{}]", *known);
  return {fmt::format("{}:{}", shown, *port), shown, port};
}

RecordSearch::RecordSearch(SoughtEndpoint endpoint, TimeRange at, std::string protocol)
    : endpoint_(std::move(endpoint)),
      at_(std::move(at)),
      protocol_(std::move(protocol)),
      endpoint_text_(fmt::format(R"("external":"{}")", endpoint_.text)),
      block_text_(fmt::format(R"("external":"{}:)", endpoint_.address)) {}

void RecordSearch::take(std::string_view line) {
  if (!has_shape(line)) return;
  const std::string_view time = line.substr(before_time.size(), rules::utc_text_length);
  const std::string_view event = line.substr(event_at);
  if (is_about(event)) {
    read(line, time);
  } else if (event.starts_with("begun")) {
    begin(line, time);
  } else if (event.starts_with("lost") && time <= at_.last) {
    lost_ += number_in(Json::parse(line, nullptr, false), "count");
  }
}

bool RecordSearch::is_about(std::string_view line) const {
  if (line.starts_with("block_")) return is_block_about(line);
  if (!line.starts_with('m') && !line.starts_with('s')) return false;
  return line.find(endpoint_text_) != std::string_view::npos;
}

bool RecordSearch::is_block_about(std::string_view line) const {
  const std::size_t found = line.find(block_text_);
  if (!endpoint_.port || found == std::string_view::npos) return false;
  const std::string_view ports = line.substr(found + block_text_.size());
  const std::size_t dash = ports.find('-');
  const std::size_t end = ports.find('"');
  if (dash == std::string_view::npos || end == std::string_view::npos || dash > end) return false;
  const auto first = parse_port(ports.substr(0, dash));
  const auto last = parse_port(ports.substr(dash + 1, end - dash - 1));
  return first && last && *first <= *endpoint_.port && *endpoint_.port <= *last;
}

void RecordSearch::read(std::string_view line, std::string_view time) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return;
  const std::string event = text_in(json, "event");
  Hold hold{.what = event.substr(0, event.find('_')),
            .namespace_name = text_in(json, "namespace"),
            .fwmark = static_cast<std::uint32_t>(number_in(json, "fwmark")),
            .protocol = text_in(json, "protocol"),
            .internal = text_in(json, "internal"),
            .external = text_in(json, "external"),
            .remote = text_in(json, "remote"),
            .from = std::string(time),
            .until = {},
            .cause = {}};
  if (!protocol_.empty() && !hold.protocol.empty() && hold.protocol != protocol_) return;
  const bool is_begin = event.ends_with("_made") || event.ends_with("_taken");
  const std::string key = fmt::format("{} {} {} {} {} {}", hold.what, hold.fwmark, hold.protocol,
                                      hold.internal, hold.external, hold.remote);
  const auto found = open_.find(key);
  if (is_begin && found != open_.end()) {
    ++found->second.count;
  } else if (is_begin) {
    open_.emplace(key, Open{std::move(hold), 1});
  } else if (found == open_.end()) {
    hold.from.clear();
    Open unknown{std::move(hold), 1};
    close(unknown, time, text_in(json, "cause"));
  } else if (--found->second.count == 0) {
    close(found->second, time, text_in(json, "cause"));
    open_.erase(found);
  }
}

void RecordSearch::begin(std::string_view line, std::string_view time) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || number_in(json, "sessions") != 0) return;
  for (auto& [key, open] : open_) close(open, time, "restart");
  open_.clear();
}

void RecordSearch::close(Open& open, std::string_view time, std::string cause) {
  open.hold.until = time;
  open.hold.cause = std::move(cause);
  if (was_then(open.hold)) closed_.push_back(std::move(open.hold));
}

bool RecordSearch::was_then(const Hold& hold) const {
  return hold.from <= at_.last && (hold.until.empty() || hold.until >= at_.first);
}

std::vector<Hold> RecordSearch::holds() const {
  std::vector<Hold> all = closed_;
  for (const auto& [key, open] : open_) {
    if (was_then(open.hold)) all.push_back(open.hold);
  }
  std::ranges::stable_sort(all, {}, &Hold::from);
  return all;
}

}  // namespace swnat::ctl
