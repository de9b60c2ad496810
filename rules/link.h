// A network interface of this process's network namespace.
#pragma once

#include <string>

namespace swnat::rules {

enum class Link { missing, down, up };

// Throws KernelError if it cannot be found out, as where no more files can be opened.
Link link(const std::string& interface);

}  // namespace swnat::rules
