#include "rules/wanted/spare_fwmark.h"

#include <algorithm>
#include <vector>

#include "rules/text/kernel_error.h"

namespace swnat::rules {

std::optional<std::uint32_t> spare_fwmark(const Config& config) {
  std::vector<NamespaceRange> taken;
  for (const NamespaceConfig& each : config.namespaces) {
    taken.push_back({each.fwmark_first(), each.fwmark_last()});
  }
  std::sort(taken.begin(), taken.end(),
            [](const NamespaceRange& a, const NamespaceRange& b) { return a.first > b.first; });
  auto below = taken.begin();  // the first that begins at or below the fwmark that is tried
  // From the highest value under the mask down; people number from below.
  for (std::uint32_t fwmark = config.fwmark_mask; fwmark != 0;
       fwmark = (fwmark - 1) & config.fwmark_mask) {
    while (below != taken.end() && below->first > fwmark) ++below;
    if (below == taken.end() || below->last < fwmark) return fwmark;
  }
  return std::nullopt;
}

std::uint32_t required_spare_fwmark(const Config& config) {
  if (const auto spare = spare_fwmark(config)) return *spare;
  throw KernelError(
      "--format iptables needs one value under nat.fwmark_mask that names no namespace, and every"
      " one does");
}

}  // namespace swnat::rules
