// The configuration file as an operator wrote it: parsed, checked, and with its defaults filled in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/config/log_config.h"
#include "rules/config/pcp_config.h"
#include "swnat/address.h"
#include "swnat/engine_options.h"
#include "swnat/policy.h"

namespace swnat::rules {

struct Route {
  IpNetwork to;
  IpAddress via;  // of the same family

  friend bool operator==(const Route&, const Route&) = default;
};

struct NamespaceConfig {
  std::string name;
  std::vector<std::string> interfaces;  // a range has none
  // Of a range: names of interfaces whose owner is a member as long as they are there, or the
  // beginnings of such names, as in "ppp*" (wanted/member_range.h).
  std::vector<std::string> members;
  std::vector<IpNetwork> subnets;
  std::vector<Route> routes;
  // For the engine, whose ids are our fwmarks. `inside` is left empty: make_policy knows it from
  // networks().
  NamespacePolicy policy;

  std::uint32_t fwmark_first() const { return policy.first; }
  std::uint32_t fwmark_last() const { return policy.last; }
  // Each fwmark of a range is a namespace of its own, but those that another NamespaceConfig has.
  bool is_range() const { return policy.first != policy.last; }

  // Its fwmarks, and the ways back, are the operator's own rules' work.
  bool is_unplaced() const { return interfaces.empty() && members.empty(); }

  // What it has: its subnets, and what routes lead to.
  std::vector<IpNetwork> networks() const;

  friend bool operator==(const NamespaceConfig&, const NamespaceConfig&) = default;
};

// A group of users of this machine.
struct Group {
  std::string name;
  std::uint32_t id = 0;

  friend bool operator==(const Group&, const Group&) = default;
};

struct Config {
  std::string file;

  std::string external_interface;
  std::vector<IpAddress> external_addresses;  // in the file's order

  // For the engine, with its defaults. `external` and `namespaces` are left empty: make_policy
  // knows them from the lists here.
  Policy policy;
  // Of which [[drop]] or [[redirect]] of the file, the first 1, each of the policy's is: a rule for
  // a range may be several there.
  std::vector<std::uint32_t> drop_numbers;
  std::vector<std::uint32_t> redirect_numbers;
  std::uint32_t max_sessions = EngineOptions{}.max_sessions;
  bool populate_memory = EngineOptions{}.populate;  // all memory is taken at the start

  std::uint32_t fwmark_mask = 0xffff;
  std::uint16_t first_queue = 0;
  std::uint16_t workers = 1;  // a power of two, 1 to 64; each has a queue, a thread and a shard
  std::uint32_t max_packets = 8192;
  bool fail_open = false;  // packets that no worker can take leave untranslated

  std::string control_socket = "/run/swnat/control.sock";
  std::string state_file = "/run/swnat/state";  // empty: sessions do not outlive the daemon
  bool repair = true;                // the daemon puts back what others change in the kernel
  std::optional<Group> admin_group;  // who, beside root, may change things by the control socket

  std::optional<IpEndpoint> metrics_listen;  // where metrics are given by HTTP
  std::string metrics_textfile;              // where they are written; empty: nowhere

  std::optional<LogConfig> log;  // none: nothing is kept

  PcpConfig pcp;  // of swnat-pcp; the daemon takes no part in it

  std::vector<NamespaceConfig> namespaces;  // in the file's order
  // Places in `namespaces`, sorted by fwmark.
  std::vector<std::uint32_t> singles_by_fwmark;
  std::vector<std::uint32_t> ranges_by_fwmark;
};

struct ConfigError {
  std::string file;
  std::uint32_t line = 0;  // 0: the file as a whole
  std::string message;     // what is wrong, and what is allowed

  std::string text() const;  // "FILE:LINE: message"
};

// Exactly one of the two is set: a configuration without a fault, or every fault found, by line.
struct LoadResult {
  std::optional<Config> config;
  std::vector<ConfigError> errors;
};
LoadResult load_config(const std::string& file);

// Fwmarks that are one namespace, or that a range has without a gap.
struct NamespacePiece {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  const NamespaceConfig* config = nullptr;
};
// All fwmarks of all namespaces, sorted and apart: a range is cut where members of it have a
// [[namespace]] of their own. Refers to the configuration.
std::vector<NamespacePiece> namespace_pieces(const Config& config);

// What the engine needs of it.
Policy make_policy(const Config& config);

// Whose the fwmark is; null if it is nobody's. Refers to the configuration.
const NamespaceConfig* find_namespace(const Config& config, NamespaceId id);

// The name that people know a namespace by: "blue", or for a range "vpn-1000". Empty if there is
// none.
std::string namespace_name(const Config& config, NamespaceId id);

}  // namespace swnat::rules
