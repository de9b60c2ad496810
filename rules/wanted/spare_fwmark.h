// A value under fwmark_mask that names no namespace.
#pragma once

#include <cstdint>
#include <optional>

#include "rules/config/config.h"

namespace swnat::rules {

// With it one of our rules tells another, before any fwmark is used, to leave a packet alone.
// nullopt if every value names a namespace.
std::optional<std::uint32_t> spare_fwmark(const Config& config);
// Throws KernelError.
std::uint32_t required_spare_fwmark(const Config& config);

}  // namespace swnat::rules
