// Places of elements in arrays: what links and indexes hold instead of pointers.
#pragma once

#include <cstdint>

namespace swnat {

using Ref = std::uint32_t;
inline constexpr Ref no_ref = 0xffff'ffff;

}  // namespace swnat
