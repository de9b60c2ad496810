#include "rules/spare_fwmark.h"

#include <algorithm>

#include "rules/kernel.h"

namespace swnat::rules {

std::optional<std::uint32_t> spare_fwmark(const Config& config) {
  const auto is_taken = [&](std::uint32_t fwmark) {
    return std::any_of(config.namespaces.begin(), config.namespaces.end(), [&](const auto& each) {
      return fwmark >= each.fwmark_first && fwmark <= each.fwmark_last;
    });
  };
  // From the highest value under the mask down; people number from below.
  for (std::uint32_t fwmark = config.fwmark_mask; fwmark != 0;
       fwmark = (fwmark - 1) & config.fwmark_mask) {
    if (!is_taken(fwmark)) return fwmark;
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
