#include "rules/iptables/steering.h"

#include <fmt/format.h>

#include <vector>

#include "rules/iptables/words.h"
#include "rules/wanted/steering.h"

namespace swnat::rules {
namespace {

std::string queue(const Config& config, std::uint32_t number) {
  return fmt::format("-j NFQUEUE --queue-num {}{}", number,
                     config.fail_open ? " --queue-bypass" : "");
}

}  // namespace

std::string iptables_first_queue(const Config& config) {
  return queue(config, config.first_queue);
}

IptablesChain iptables_steering_chain(const Config& config, std::string_view name,
                                      std::string_view field) {
  IptablesChain chain{std::string(name), {}};
  const std::vector<Steering> all = steerings(config);
  for (const Steering& each : all) {
    const bool last = &each == &all.back();
    const std::string match =
        last ? ""
             : u32(fmt::format("{}&{:#x}={:#x}", field, steering_mask(config.workers), each.bits)) +
                   " ";
    chain.rules.push_back(match + queue(config, each.queue));
  }
  return chain;
}

}  // namespace swnat::rules
