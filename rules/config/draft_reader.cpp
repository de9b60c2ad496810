#include "rules/config/draft_reader.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/un.h>

#include <bit>

#include "rules/config/log_reader.h"
#include "rules/config/namespace_reader.h"
#include "rules/config/rule_reader.h"
#include "rules/config/value_reader.h"
#include "swnat/limits.h"

namespace swnat::rules {
namespace {

// Some 3 GB of IPv4 sessions; an engine could have more.
constexpr std::uint32_t most_sessions = 16'777'216;
static_assert(most_sessions <= sessions_max);
constexpr std::uint32_t most_packets = 1'048'576;
constexpr std::size_t most_rules = 4096;                                     // of each kind
constexpr std::uint32_t most_ports_on_request = 4096;                        // of each namespace
constexpr std::chrono::seconds longest_on_request = std::chrono::hours(24);  // RFC 6887 section 15

constexpr Choice<Mapping> mappings[] = {
    {"endpoint-independent", Mapping::endpoint_independent},
    {"address-and-port-dependent", Mapping::address_and_port_dependent},
};
constexpr Choice<Filtering> filterings[] = {
    {"endpoint-independent", Filtering::endpoint_independent},
    {"address-dependent", Filtering::address_dependent},
    {"address-and-port-dependent", Filtering::address_and_port_dependent},
};
constexpr Choice<AtLimit> at_limits[] = {
    {"evict-oldest", AtLimit::evict_oldest},
    {"refuse", AtLimit::refuse},
};

const toml::table no_table;

// The table of this name; an empty one if it is missing or no table, which is a fault.
TableReader section(TableReader& file, std::string_view name) {
  const std::string where = fmt::format("[{}]", name);
  const toml::node* node = file.node(name);
  if (node == nullptr) return {no_table, where, 1, file.faults()};
  const std::uint32_t line = line_of(*node);
  if (const auto* table = node->as_table()) return {*table, where, line, file.faults()};
  file.faults().add(
      line, fmt::format("{} must be a table, written {}, not {}", name, where, kind_of(*node)));
  return {no_table, where, line, file.faults()};
}

// Reads the table [name]. `into` is what the values are for.
template <class Into>
void read_table(TableReader& file, std::string_view name, void (*read)(TableReader&, Into&),
                Into& into) {
  TableReader table = section(file, name);
  read(table, into);
  table.refuse_others();
}

void read_external(TableReader& table, Draft& draft) {
  if (!table.has("interface"))
    table.missing("interface", "the interface to the outside, as in \"wan0\"");
  if (!table.has("addresses"))
    table.missing("addresses", "at least one address, as in [\"203.0.113.1\"]");
  if (const auto name = table.text("interface");
      name && read_interface(table, "interface", *name)) {
    draft.external_interface = *name;
  }
  draft.external_addresses = read_addresses(table, "addresses");
  if (const auto* list = table.node("addresses");
      list != nullptr && list->is_array() && list->as_array()->empty()) {
    table.fault("addresses", line_of(*list), "must hold at least one address");
  }
  if (const auto ports = read_port_ranges(table, "ports")) draft.config.policy.ports = *ports;
}

void read_nat(TableReader& table, Draft& draft) {
  Config& config = draft.config;
  assign(config.policy.mapping, table.choice<Mapping>("mapping", mappings));
  assign(config.policy.filtering, table.choice<Filtering>("filtering", filterings));
  assign(config.policy.hairpin, table.boolean("hairpin"));
  draft.fwmark_mask = {config.fwmark_mask, table.line()};
  if (const auto mask = table.number("fwmark_mask", 1, 0xffff'ffff)) draft.fwmark_mask = *mask;
  assign(config.max_sessions, table.number("max_sessions", 1, most_sessions));
  // The default must not be a fault where max_sessions is small.
  draft.limits.session_limit = std::min(draft.limits.session_limit, config.max_sessions);
  draft.port_block_line = read_limits(table, config.max_sessions, draft.limits);
  assign(config.policy.at_limit, table.choice<AtLimit>("at_limit", at_limits));
  assign(config.populate_memory, table.boolean("populate_memory"));
}

void read_timeouts(TableReader& table, Timeouts& timeouts) {
  timeouts.tcp_established =
      read_timeout(table, "tcp_established", Zero::refused).value_or(timeouts.tcp_established);
  timeouts.tcp_transitory =
      read_timeout(table, "tcp_transitory", Zero::allowed).value_or(timeouts.tcp_transitory);
  timeouts.udp = read_timeout(table, "udp", Zero::refused).value_or(timeouts.udp);
  timeouts.icmp = read_timeout(table, "icmp", Zero::refused).value_or(timeouts.icmp);
}

// The CPUs that this process may use, rounded down to a power of two.
std::uint16_t default_workers() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return 1;
  const auto count = static_cast<std::uint32_t>(CPU_COUNT(&cpus));
  return static_cast<std::uint16_t>(std::bit_floor(std::clamp(count, 1u, shards_max)));
}

void read_queue(TableReader& table, Draft& draft) {
  Config& config = draft.config;
  draft.queue_line = table.line();
  if (const auto first = table.number("first", 0, 0xffff)) {
    config.first_queue = static_cast<std::uint16_t>(first->value);
    draft.queue_line = first->line;
  }
  config.workers = default_workers();
  if (const auto workers = table.number("workers", 1, shards_max)) {
    if (std::has_single_bit(workers->value)) {
      config.workers = static_cast<std::uint16_t>(workers->value);
    } else {
      table.fault(
          "workers", workers->line,
          fmt::format("must be a power of two (1, 2, 4, 8, 16, 32 or 64), not {}", workers->value));
    }
  }
  assign(config.max_packets, table.number("max_packets", 1, most_packets));
  assign(config.fail_open, table.boolean("fail_open"));
}

void read_control(TableReader& table, Config& config) {
  constexpr std::size_t longest_socket = sizeof(sockaddr_un::sun_path) - 1;
  if (auto socket = read_path(table, "socket", longest_socket)) config.control_socket = *socket;
  const auto* state = table.node("state");
  if (state != nullptr && state->is_string() && state->as_string()->get().empty()) {
    config.state_file.clear();
  } else if (auto path = read_path(table, "state", longest_path)) {
    config.state_file = *path;
  }
  assign(config.repair, table.boolean("repair"));
  config.admin_group = read_group(table, "admin_group");
}

void read_metrics(TableReader& table, Config& config) {
  config.metrics_listen = read_listen(table, "listen");
  if (auto path = read_path(table, "textfile", longest_path)) config.metrics_textfile = *path;
}

void read_pcp(TableReader& table, PcpConfig& pcp) {
  assign(pcp.enabled, table.boolean("enabled"));
  assign(pcp.max_per_namespace, table.number("max_per_namespace", 1, most_ports_on_request));
  const auto lifetime = read_timeout(table, "lifetime", Zero::refused);
  if (!lifetime) return;
  if (*lifetime > longest_on_request) {
    table.fault("lifetime", line_of(*table.node("lifetime")),
                fmt::format("must be at most 24 hours (86400), not {}",
                            std::chrono::duration_cast<std::chrono::seconds>(*lifetime).count()));
  } else {
    pcp.lifetime = std::chrono::duration_cast<std::chrono::seconds>(*lifetime);
  }
}

// Reads each of the tables [[name]], up to the `most` that fit.
template <class Read>
void read_tables(TableReader& file, std::string_view name, std::size_t most, Read read) {
  const toml::node* node = file.node(name);
  if (node == nullptr) return;
  Faults& faults = file.faults();
  const std::string where = fmt::format("[[{}]]", name);
  const auto refuse = [&](const toml::node& found) {
    faults.add(line_of(found),
               fmt::format("{} must be a table, written {}, not {}", name, where, kind_of(found)));
  };
  const auto* array = node->as_array();
  if (array == nullptr) {
    if (node->is_table()) {
      faults.add(line_of(*node),
                 fmt::format("{} must be written {} (two pairs of brackets)", name, where));
    } else {
      refuse(*node);
    }
    return;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    const toml::node& element = (*array)[i];
    if (i == most) {
      faults.add(line_of(element), fmt::format("{}: at most {} fit", where, most));
      return;
    }
    if (const auto* found = element.as_table()) {
      TableReader table(*found, where, line_of(element), faults);
      read(table);
      table.refuse_others();
    } else {
      refuse(element);
    }
  }
}

void read_namespaces(TableReader& file, Draft& draft) {
  const toml::node* node = file.node("namespace");
  const auto* array = node == nullptr ? nullptr : node->as_array();
  if (array == nullptr || array->empty()) {
    file.faults().add(node == nullptr ? 1 : line_of(*node),
                      "no [[namespace]] is configured: at least one is needed, with name and fwmark"
                      " (two pairs of brackets)");
    return;
  }
  read_tables(file, "namespace", namespaces_max, [&](TableReader& table) {
    draft.namespaces.push_back(read_namespace(table, draft.config.max_sessions, draft.limits));
  });
}

void read_rules(TableReader& file, Draft& draft) {
  const auto read_all = [&](std::string_view name, auto& drafts, auto read_one) {
    read_tables(file, name, most_rules,
                [&](TableReader& table) { drafts.push_back(read_one(table)); });
  };
  read_all("drop", draft.drops, read_drop);
  read_all("redirect", draft.redirects, read_redirect);
  read_all("forward", draft.forwards,
           [&](TableReader& table) { return read_forward(table, draft.config.max_sessions); });
}

}  // namespace

Draft read_draft(const toml::table& table, Faults& faults) {
  Draft draft;
  draft.config.file = faults.file();
  TableReader file(table, "the file", 1, faults);
  read_table(file, "external", read_external, draft);
  read_table(file, "nat", read_nat, draft);
  read_table(file, "timeouts", read_timeouts, draft.config.policy.timeouts);
  read_table(file, "queue", read_queue, draft);
  read_table(file, "control", read_control, draft.config);
  draft.config.log = read_log(file);
  read_table(file, "metrics", read_metrics, draft.config);
  read_table(file, "pcp", read_pcp, draft.config.pcp);
  read_namespaces(file, draft);
  read_rules(file, draft);
  file.refuse_others();
  return draft;
}

}  // namespace swnat::rules
