// In which of the two formats the kernel is told to queue packets.
#pragma once

namespace swnat::rules {

enum class Format { automatic, nft, iptables };

}  // namespace swnat::rules
