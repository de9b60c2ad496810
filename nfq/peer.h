// Who is at the other end of a connection of this machine, as the kernel knew it when that was
// made.
#pragma once

#include <sys/types.h>

#include <vector>

namespace swnat::nfq {

struct Peer {
  uid_t user = static_cast<uid_t>(-1);
  std::vector<gid_t> groups = {};  // the first is its own, the others supplementary

  bool is_root() const { return user == 0; }
  bool is_in(gid_t group) const;
};

// Throws Error.
Peer peer_of(int socket);

}  // namespace swnat::nfq
