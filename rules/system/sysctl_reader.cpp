#include "rules/system/sysctl_reader.h"

#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "rules/system/interfaces.h"
#include "rules/system/netlink.h"
#include "rules/system/sysctl.h"

namespace swnat::rules {
namespace {

struct Known {
  std::string_view folder;
  std::string_view name;
  std::uint16_t family = AF_INET;
  std::size_t place = 0;  // in the kernel's array
};

// Those that are asked for of each interface.
constexpr Known all_known[] = {
    {"net/ipv4/conf/", "rp_filter", AF_INET, IPV4_DEVCONF_RP_FILTER - 1},
    {"net/ipv4/conf/", "accept_local", AF_INET, IPV4_DEVCONF_ACCEPT_LOCAL - 1},
    {"net/ipv4/conf/", "forwarding", AF_INET, IPV4_DEVCONF_FORWARDING - 1},
    {"net/ipv6/conf/", "forwarding", AF_INET6, DEVCONF_FORWARDING},
};

// The kernel's array of a family, in what it tells of an interface; null if it has none there.
const nlattr* conf_of(const nlattr& families, std::uint16_t family) {
  const nlattr* own = Attributes<AF_INET6 + 1>(families).get(family);
  if (own == nullptr) return nullptr;
  if (family == AF_INET) return Attributes<IFLA_INET_CONF + 1>(*own).get(IFLA_INET_CONF);
  return Attributes<IFLA_INET6_CONF + 1>(*own).get(IFLA_INET6_CONF);
}

std::optional<std::int32_t> value_in(const nlattr& families, const Known& known) {
  const nlattr* conf = conf_of(families, known.family);
  std::int32_t value = 0;
  const std::size_t at = known.place * sizeof value;
  if (conf == nullptr || mnl_attr_get_payload_len(conf) < at + sizeof value) return std::nullopt;
  std::memcpy(&value, static_cast<const std::uint8_t*>(mnl_attr_get_payload(conf)) + at,
              sizeof value);
  return value;
}

}  // namespace

SysctlReader::Listed SysctlReader::list() {
  static_assert(std::size(all_known) == known_count);
  Listed all;
  list_links([&] { all.clear(); },
             [&](const Link& link) {
               if (link.sysctls == nullptr) return;
               Values& values = all[link.name];
               for (std::size_t i = 0; i < known_count; ++i) {
                 values[i] = value_in(*link.sysctls, all_known[i]);
               }
             });
  return all;
}

std::optional<SysctlReader::KnownSysctl> SysctlReader::known_of(std::string_view name) {
  for (std::size_t i = 0; i < known_count; ++i) {
    const auto [folder, own, family, place] = all_known[i];
    if (!name.starts_with(folder) || !name.ends_with(own)) continue;
    // The interface's name and a slash.
    const std::string_view rest = name.substr(
        folder.size(), std::max(name.size() - own.size(), folder.size()) - folder.size());
    if (rest.find('/') + 1 != rest.size()) continue;
    const std::string_view interface = rest.substr(0, rest.size() - 1);
    // These are no interfaces.
    if (interface == "all" || interface == "default") return std::nullopt;
    return KnownSysctl{interface, i};
  }
  return std::nullopt;
}

std::optional<std::string> SysctlReader::read(std::string_view name) {
  const auto known = known_of(name);
  if (!known) return read_sysctl(name);
  if (!listed_) listed_ = list();
  const auto found = listed_->find(known->interface);
  if (found == listed_->end() || !found->second[known->place]) return read_sysctl(name);
  return std::to_string(*found->second[known->place]);
}

void SysctlReader::wrote(std::string_view name) {
  if (!listed_) return;
  if (const auto known = known_of(name)) {
    const auto found = listed_->find(known->interface);
    if (found != listed_->end()) found->second[known->place].reset();
  } else {
    listed_.reset();
  }
}

}  // namespace swnat::rules
