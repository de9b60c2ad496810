#include "nfq/peer.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

#include "nfq/error.h"

namespace swnat::nfq {
namespace {

[[noreturn]] void fail() {
  throw Error(fmt::format("cannot tell who asks: {}", std::strerror(errno)));
}

std::vector<gid_t> supplementary_groups(int socket) {
  std::vector<gid_t> groups(32);
  for (;;) {
    auto size = static_cast<socklen_t>(std::span(groups).size_bytes());
    const int result = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    const int error = errno;
    groups.resize(size / sizeof(gid_t));  // where there are more, the kernel says how many
    if (result == 0) return groups;
    if (error == ERANGE) continue;
    errno = error;
    fail();
  }
}

}  // namespace

bool Peer::is_in(gid_t group) const {
  return std::ranges::find(groups, group) != groups.end();
}

Peer peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) fail();
  Peer peer{credentials.uid, supplementary_groups(socket)};
  peer.groups.insert(peer.groups.begin(), credentials.gid);
  return peer;
}

}  // namespace swnat::nfq
