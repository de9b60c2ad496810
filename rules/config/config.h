// The configuration file as an operator wrote it: parsed, checked, and with its defaults filled in.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swnat/address.h"
#include "swnat/policy.h"

namespace swnat::rules {

struct Route {
  IpNetwork to;
  IpAddress via;  // of the same family
};

struct NamespaceConfig {
  std::string name;
  // A range is first != last: each fwmark is a namespace of its own, but those that another
  // NamespaceConfig has.
  std::uint32_t fwmark_first = 0;
  std::uint32_t fwmark_last = 0;
  std::vector<std::string> interfaces;
  std::vector<IpNetwork> subnets;
  std::vector<Route> routes;
  std::uint32_t session_limit = 0;
  std::uint32_t port_limit = 0;         // 0: none
  std::uint32_t port_block = 0;         // 0: none
  std::vector<IpAddress> external;      // empty in a family: all of that family
  std::vector<IpNetwork> untranslated;  // destinations that its packets reach as they are

  bool is_range() const { return fwmark_first != fwmark_last; }
};

struct Config {
  std::string file;

  std::string external_interface;
  std::vector<IpAddress> external_addresses;
  PortRanges ports;

  Mapping mapping = Mapping::endpoint_independent;
  Filtering filtering = Filtering::address_dependent;
  bool hairpin = true;
  std::uint32_t fwmark_mask = 0xffff;
  std::uint32_t max_sessions = 262'144;
  std::uint32_t session_limit = 200;
  std::uint32_t port_limit = 0;  // of each namespace; 0: none
  std::uint32_t port_block = 0;  // of each namespace; 0: none
  AtLimit at_limit = AtLimit::evict_oldest;
  bool populate_memory = false;  // all memory is taken at the start

  Timeouts timeouts;

  std::uint16_t first_queue = 0;
  std::uint16_t workers = 1;  // a power of two, 1 to 64; each has a queue, a thread and a shard
  std::uint32_t max_packets = 8192;
  bool fail_open = false;  // packets that no worker can take leave untranslated

  std::string control_socket = "/run/swnat/control.sock";
  std::string state_file;  // empty: sessions do not outlive the daemon
  bool repair = true;      // the daemon puts back what others change in the kernel

  std::vector<NamespaceConfig> namespaces;  // this and the rest in the file's order
  // Places in `namespaces`, sorted by fwmark.
  std::vector<std::uint32_t> singles_by_fwmark;
  std::vector<std::uint32_t> ranges_by_fwmark;
  std::vector<DropRule> drops;
  std::vector<RedirectRule> redirects;
  std::vector<ForwardRule> forwards;
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

// The name that people know a namespace by: "blue", or for a range "vpn-1000". Empty if there is
// none.
std::string namespace_name(const Config& config, NamespaceId id);

}  // namespace swnat::rules
