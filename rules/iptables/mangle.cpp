#include "rules/iptables/mangle.h"

#include <fmt/format.h>

#include "rules/iptables/namespaces.h"
#include "rules/iptables/steering.h"
#include "rules/iptables/words.h"

namespace swnat::rules {
namespace {

IptablesChain entry_chain(const Config& config) {
  return {std::string(iptables_chain::out),
          {fmt::format("! -o {} -j RETURN", config.external_interface),
           iptables_fwmark(config, "--mark 0x0") + " -j RETURN",
           iptables_spare_fwmark(config) + " -j RETURN",
           fmt::format("-j {}", iptables_chain::by_sender)}};
}

// What has no port has nothing to go by. The engine knows what to do with it.
IptablesChain outbound_chain(const Config& config, const IptablesWords& word) {
  return {std::string(iptables_chain::outbound),
          {fmt::format("{} -j {}", u32(word.fragment), iptables_chain::fragment),
           fmt::format("-p tcp -j {}", iptables_chain::from_port),
           fmt::format("-p udp -j {}", iptables_chain::from_port),
           fmt::format("{} {} -j {}", word.icmp, word.echo_request, iptables_chain::from_id),
           iptables_first_queue(config)}};
}

}  // namespace

IptablesTable iptables_mangle_table(const Config& config, Family family) {
  const IptablesWords& word = iptables_words(family);
  IptablesTable table{family, "mangle", {}};
  auto& chains = table.chains;
  chains.push_back(entry_chain(config));
  iptables_add_namespaces(chains, config, iptables_chain::by_sender, iptables_chain::outbound);
  chains.push_back(outbound_chain(config, word));
  const auto steer = [&](std::string_view name, std::string_view field) {
    chains.push_back(iptables_steering_chain(config, name, field));
  };
  steer(iptables_chain::from_port, u32_source_port(family));
  steer(iptables_chain::from_id, u32_echo_id(family));
  steer(iptables_chain::fragment, word.fragment_id);
  return table;
}

}  // namespace swnat::rules
