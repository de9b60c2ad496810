#include "rules/config/log_reader.h"

#include <fmt/format.h>

#include "rules/config/value_reader.h"
#include "swnat/address_text.h"

namespace swnat::rules {
namespace {

enum class Format { json };
constexpr Choice<Format> formats[] = {{"json", Format::json}};

const Choice<EventKinds> event_choices[] = {
    {"mapping", {EventKind::mapping_made, EventKind::mapping_ended}},
    {"block", {EventKind::block_taken, EventKind::block_given_up}},
    {"session", {EventKind::session_made, EventKind::session_ended}},
};

// Names are not looked up: a name server may be behind this very gateway, and slow.
std::optional<LogReceiver> read_receiver(TableReader& table, std::string_view key,
                                         const Located<std::string>& text, bool has_tcp) {
  const std::string_view whole = text.value;
  constexpr std::size_t length = std::string_view("udp://").size();
  const bool is_udp = whole.starts_with("udp://");
  const bool is_tcp = has_tcp && whole.starts_with("tcp://");
  const auto endpoint = is_udp || is_tcp ? parse_endpoint(whole.substr(length)) : std::nullopt;
  if (!endpoint || endpoint->port == 0) {
    table.fault(key, text.line,
                fmt::format("\"{}\" is no receiver (allowed: {}\"udp://ADDRESS:PORT\"{}, as in "
                            "\"udp://192.0.2.1:4739\" or \"udp://[2001:db8::1]:4739\")",
                            whole, has_tcp ? "" : "true, false or ",
                            has_tcp ? " or \"tcp://ADDRESS:PORT\"" : ""));
    return std::nullopt;
  }
  return LogReceiver{is_udp ? Transport::udp : Transport::tcp, *endpoint};
}

void read_syslog(TableReader& table, LogConfig& config) {
  constexpr std::string_view key = "syslog";
  const toml::node* node = table.node(key);
  if (node == nullptr) return;
  const std::uint32_t line = line_of(*node);
  if (const auto* boolean = node->as_boolean()) {
    config.syslog = boolean->get();
  } else if (const auto* text = node->as_string()) {
    config.syslog_receiver = read_receiver(table, key, {text->get(), line}, false);
  } else {
    table.fault(key, line,
                fmt::format("must be true, false or text like \"udp://192.0.2.1:514\", not {}",
                            kind_of(*node)));
  }
}

void read_ipfix(TableReader& table, LogConfig& config) {
  if (const auto text = table.text("ipfix")) {
    config.ipfix = read_receiver(table, "ipfix", *text, true);
  }
}

void read_events(TableReader& table, LogConfig& config) {
  constexpr std::string_view key = "events";
  const std::span<const Choice<EventKinds>> choices(event_choices);
  const toml::node* node = table.node(key);
  const auto texts = table.texts(key);
  if (node == nullptr || !node->is_array()) return;
  if (node->as_array()->empty()) {
    table.fault(key, line_of(*node), "must hold at least one of " + texts_of(choices));
  }
  EventKinds kinds;
  for (const auto& text : texts) {
    const auto* choice = std::ranges::find(event_choices, text.value, &Choice<EventKinds>::text);
    if (choice == std::end(event_choices)) {
      table.fault(key, text.line,
                  fmt::format("must hold some of {}, not {}", texts_of(choices),
                              not_one_of(text.value, choices)));
    } else {
      kinds = kinds | choice->value;
    }
  }
  config.events = kinds;
}

}  // namespace

std::optional<LogConfig> read_log(TableReader& file) {
  const toml::node* node = file.node("log");
  if (node == nullptr) return std::nullopt;
  const auto* found = node->as_table();
  if (found == nullptr) {
    file.faults().add(line_of(*node),
                      fmt::format("log must be a table, written [log], not {}", kind_of(*node)));
    return std::nullopt;
  }
  TableReader table(*found, "[log]", line_of(*node), file.faults());
  const std::size_t faults_before = file.faults().size();
  LogConfig config;
  if (auto path = read_path(table, "file", longest_path)) config.file = *path;
  static_cast<void>(table.choice<Format>("format", formats));
  assign(config.journal, table.boolean("journal"));
  read_syslog(table, config);
  read_ipfix(table, config);
  assign(config.destinations, table.boolean("destinations"));
  read_events(table, config);
  table.refuse_others();
  const bool has_place = !config.file.empty() || config.journal || config.syslog ||
                         config.syslog_receiver || config.ipfix;
  if (!has_place && file.faults().size() == faults_before) {
    file.faults().add(table.line(),
                      "[log] names no place to write to: at least one is needed of file, journal, "
                      "syslog and ipfix");
  }
  return config;
}

}  // namespace swnat::rules
