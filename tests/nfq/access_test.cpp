#include "nfq/access.h"

#include <doctest/doctest.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "tests/support/control_room.h"

using namespace swnat;
using namespace swnat::nfq;
using swnat::test::ControlRoom;

namespace {

const rules::Group admins{"netadmin", 77};

rules::Config with(const std::optional<rules::Group>& group) {
  rules::Config config;
  config.admin_group = group;
  return config;
}

bool may_change(const Peer& peer, const std::optional<rules::Group>& group = admins) {
  return !refusal("flush", Access::changes, peer, with(group));
}

}  // namespace

TEST_CASE("access: whoever reaches the socket may read") {
  CHECK_FALSE(refusal("status", Access::reads, Peer{1000, {1000}}, with({})));
}

TEST_CASE("access: root and the admin group's members may change things, and nobody else") {
  CHECK(may_change({0, {0}}));
  CHECK(may_change({0, {0}}, {}));
  CHECK(may_change({1000, {77}}));
  CHECK(may_change({1000, {1000, 4, 77}}));
  CHECK_FALSE(may_change({1000, {1000, 4}}));
  CHECK_FALSE(may_change({77, {1000}}));  // a user of that number
  CHECK_FALSE(may_change({1000, {0}}));   // root's group is not root
  CHECK_FALSE(may_change({1000, {77}}, {}));
  CHECK_FALSE(may_change(Peer{}));
}

TEST_CASE("access: a refusal says who may, and how to change that") {
  const Peer somebody{1000, {1000}};
  CHECK_EQ(refusal("flush", Access::changes, somebody, with(admins)),
           "'flush' changes things: only root and members of the group netadmin "
           "(control.admin_group) may, not uid 1000");
  CHECK_EQ(refusal("reload", Access::changes, somebody, with({})),
           "'reload' changes things: only root may, not uid 1000; control.admin_group can name a "
           "group whose members may too");
}

TEST_CASE("access: the socket belongs to the readers' group") {
  const struct group* readers = ::getgrnam("swnat");
  if (readers != nullptr) {
    CHECK_EQ(socket_group(with(admins)), readers->gr_gid);
  } else {
    CHECK_EQ(socket_group(with(admins)), 77u);
    CHECK_EQ(socket_group(with({})), ::getegid());
  }
}

TEST_CASE("access: the kernel tells who asks") {
  ControlRoom room;
  test::ControlClient client(room.path);
  client.send("hello\n");
  room.serve(client);
  CHECK_EQ(room.last_peer.user, ::geteuid());
  REQUIRE_FALSE(room.last_peer.groups.empty());
  CHECK_EQ(room.last_peer.groups.front(), ::getegid());
  std::vector<gid_t> own(static_cast<std::size_t>(::getgroups(0, nullptr)));
  REQUIRE_GE(::getgroups(static_cast<int>(own.size()), own.data()), 0);
  for (const gid_t group : own) CHECK(room.last_peer.is_in(group));
}

TEST_CASE("access: supplementary groups count, however many there are") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can take other groups");
    return;
  }
  std::vector<gid_t> before(static_cast<std::size_t>(::getgroups(0, nullptr)));
  REQUIRE_GE(::getgroups(static_cast<int>(before.size()), before.data()), 0);
  std::vector<gid_t> many;
  for (gid_t group = 5'000; group < 5'500; ++group) many.push_back(group);
  ControlRoom room;
  REQUIRE_EQ(::setgroups(many.size(), many.data()), 0);
  test::ControlClient client(room.path);
  REQUIRE_EQ(::setgroups(before.size(), before.data()), 0);
  client.send("hello\n");
  room.serve(client);
  CHECK(room.last_peer.is_in(5'000));
  CHECK(room.last_peer.is_in(5'499));
  CHECK_FALSE(room.last_peer.is_in(5'500));
}

TEST_CASE("access: the socket's file is given to a group") {
  ControlRoom room;
  room.server().give_to(::getegid());
  if (::geteuid() != 0) return;
  room.server().give_to(77);
  struct stat file {};
  REQUIRE_EQ(::stat(room.path.c_str(), &file), 0);
  CHECK_EQ(file.st_gid, 77u);
  CHECK_EQ(file.st_uid, ::geteuid());
  CHECK_EQ(file.st_mode & 07777, 0660u);
}
