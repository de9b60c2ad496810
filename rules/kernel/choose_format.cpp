#include "rules/kernel/choose_format.h"

#include <fmt/format.h>

#include "rules/iptables/apply.h"
#include "rules/system/process.h"
#include "rules/text/kernel_error.h"
#include "rules/wanted/family.h"

namespace swnat::rules {
namespace {

// In a network namespace of its own: removing a chain in this one would drop what waits in its
// queues.
std::optional<ProcessResult> try_nft_queue() {
  return run_apart({"nft", "-f", "-"},
                   "table inet swnat {\n"
                   "\tchain probe {\n"
                   "\t\ttype filter hook prerouting priority 0\n"
                   "\t\tqueue to 0\n"
                   "\t}\n"
                   "}\n");
}

}  // namespace

Format choose_format(Format format) {
  if (format != Format::automatic) return format;
  const auto result = try_nft_queue();
  if (!result) {
    throw KernelError(
        "what the kernel can do cannot be tried here, where no network namespace can be made:"
        " name the format, as in --format nft");
  }
  return result->exit_code == 0 ? Format::nft : Format::iptables;
}

void require_queue(const Config& config, Format format) {
  if (format == Format::iptables) {
    for (const Family family : all_families) {
      if (is_translated(config, family)) require_iptables_queue(family);
    }
    return;
  }
  const auto result = try_nft_queue();
  if (!result || result->exit_code == 0) return;
  throw KernelError(
      fmt::format("the kernel has no nft queue expression (CONFIG_NFT_QUEUE), so --format nft"
                  " cannot work here; use --format iptables ({})",
                  in_short(result->error)));
}

}  // namespace swnat::rules
