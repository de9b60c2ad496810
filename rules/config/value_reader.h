// Values of the configuration that are written as text: addresses, subnets, interface names, times.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

// Whether an address of IPv6 may be one that is unique on its link only.
enum class LinkLocal { refused, allowed };
// Whether the beginning of names may stand for them all, as "ppp*".
enum class Patterns { refused, allowed };

// Each tells the table's faults, naming the key, what is wrong with the text.
std::optional<IpAddress> read_address(TableReader& table, std::string_view key,
                                      const Located<std::string>& text,
                                      LinkLocal allowed = LinkLocal::refused);
std::optional<IpNetwork> read_subnet(TableReader& table, std::string_view key,
                                     const Located<std::string>& text);
bool read_interface(TableReader& table, std::string_view key, const Located<std::string>& name,
                    Patterns patterns = Patterns::refused);

std::vector<Located<IpAddress>> read_addresses(TableReader& table, std::string_view key);
std::vector<Located<IpNetwork>> read_subnets(TableReader& table, std::string_view key);
std::vector<Located<std::string>> read_interfaces(TableReader& table, std::string_view key);

enum class Zero { refused, allowed };
std::optional<std::chrono::milliseconds> read_timeout(TableReader& table, std::string_view key,
                                                      Zero zero);

// Where a server listens: any address, also the unspecified one, and a port.
std::optional<IpEndpoint> read_listen(TableReader& table, std::string_view key);

// A group that this machine knows, by its name.
std::optional<Group> read_group(TableReader& table, std::string_view key);

// Text like "32768-65535", or an array of such texts.
std::optional<PortRanges> read_port_ranges(TableReader& table, std::string_view key);
// One such text, or a number.
std::optional<Located<PortRange>> read_port_or_ports(TableReader& table, std::string_view key);

// 0 for no blocks, or how many ports are in one.
std::optional<Located<std::uint32_t>> read_port_block(TableReader& table);

// An absolute path of a file.
inline constexpr std::size_t longest_path = 4095;
std::optional<std::string> read_path(TableReader& table, std::string_view key, std::size_t longest);

// A key that must be there, and what it means.
std::optional<Located<IpEndpoint>> read_endpoint(TableReader& table, std::string_view key,
                                                 std::string_view meaning);

}  // namespace swnat::rules
