// What this process may do and use.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace swnat::nfq {

// Throws Error without CAP_NET_ADMIN.
void require_net_admin();

// Waits until the kernel has them, which it has soon after it was started. Throws Error.
std::array<std::uint64_t, 4> random_words();

// By number; empty if they are not known.
std::vector<int> allowed_cpus();

}  // namespace swnat::nfq
