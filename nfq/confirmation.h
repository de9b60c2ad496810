// Whether the operator keeps what `up --confirm` did: who has locked himself out cannot say so.
#pragma once

#include <chrono>
#include <string>

namespace swnat::nfq {

// Waits for at most `patience` until somebody types y at this process's terminal, or confirm()s for
// the same control.socket. False when the time is over, or as soon as SIGINT or SIGTERM comes; a
// terminal that is lost decides nothing. The caller has these signals blocked. Throws Error.
bool wait_for_confirmation(const std::string& control_socket, std::chrono::seconds patience);

// From another process, of root or of the same user. Throws Error.
void confirm(const std::string& control_socket);

}  // namespace swnat::nfq
