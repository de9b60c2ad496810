// Who may ask, and who may change things, over the control socket.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "nfq/peer.h"
#include "rules/config/config.h"

namespace swnat::nfq {

// What a command does. All who reach the socket may read.
enum class Access { reads, changes };

// Why the peer may not give the command; nothing if it may.
std::optional<std::string> refusal(std::string_view command, Access access, const Peer& peer,
                                   const rules::Config& config);

// Whose members reach the socket: swnat where this machine has that group, else those who may
// change things, else the daemon's own.
gid_t socket_group(const rules::Config& config);

}  // namespace swnat::nfq
