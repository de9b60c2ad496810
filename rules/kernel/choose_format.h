// Which of the two formats this kernel can do.
#pragma once

#include "rules/config/config.h"
#include "rules/wanted/format.h"

namespace swnat::rules {

// `automatic` becomes nft where the kernel has the nft queue expression, else iptables; others
// stay.
Format choose_format(Format format);

// Throws KernelError if the configuration's packets cannot be sent to a queue in this format here,
// as far as that can be tried without changing anything.
void require_queue(const Config& config, Format format);

}  // namespace swnat::rules
