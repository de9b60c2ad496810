// The commands of swnat-nfq.
#pragma once

namespace swnat::nfq {

// All of swnat-nfq: reads its arguments, does what they say, returns the exit status. Whatever goes
// wrong is said on standard error, one line each.
int run_command_line(int argc, char** argv);

}  // namespace swnat::nfq
