#include "nfq/access.h"

#include <fmt/format.h>
#include <grp.h>
#include <unistd.h>

namespace swnat::nfq {

std::optional<std::string> refusal(std::string_view command, Access access, const Peer& peer,
                                   const rules::Config& config) {
  const auto& group = config.admin_group;
  if (access == Access::reads || peer.is_root() || (group && peer.is_in(group->id))) return {};
  if (group) {
    return fmt::format(
        "'{}' changes things: only root and members of the group {} (control.admin_group) may, not "
        "uid {}",
        command, group->name, peer.user);
  }
  return fmt::format(
      "'{}' changes things: only root may, not uid {}; control.admin_group can name a group whose "
      "members may too",
      command, peer.user);
}

gid_t socket_group(const rules::Config& config) {
  if (const struct group* readers = ::getgrnam("swnat"); readers != nullptr) return readers->gr_gid;
  return config.admin_group ? config.admin_group->id : ::getegid();
}

}  // namespace swnat::nfq
