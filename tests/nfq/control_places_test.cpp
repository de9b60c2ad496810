// Who finds a place at the control socket where many clients are: real connections, of several
// users where the test may take their names.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/control_room.h"

using namespace swnat::nfq;
using swnat::test::ControlRoom;
using Client = swnat::test::ControlClient;

namespace {

constexpr const char* socket_name = "control.sock";  // as ControlRoom has it

constexpr uid_t mallory = 40'001;
constexpr uid_t alice = 40'004;

// As long as it lives, connections are this user's.
class As {
 public:
  explicit As(uid_t user) { REQUIRE_EQ(::seteuid(user), 0); }
  ~As() { ::seteuid(0); }
  As(const As&) = delete;
  As& operator=(const As&) = delete;
};

class Places {
 public:
  // The folders above may be closed to other users, so the socket is found from where it is.
  Places() {
    ::chmod(room.folder.name().c_str(), 0755);
    ::chmod(room.path.c_str(), 0666);
    std::filesystem::current_path(room.folder.name());
  }
  ~Places() { std::filesystem::current_path(before_); }
  Places(const Places&) = delete;
  Places& operator=(const Places&) = delete;

  // One that says nothing.
  Client& silent() {
    clients_.push_back(std::make_unique<Client>(socket_name));
    room.settle();
    return *clients_.back();
  }
  // One that is being answered, but does not take it.
  Client& busy() {
    clients_.push_back(std::make_unique<Client>(socket_name));
    clients_.back()->send("lines\n");
    room.settle();
    return *clients_.back();
  }
  void fill(uid_t user, std::size_t count, Client& (Places::*one)()) {
    const As as(user);
    for (std::size_t i = 0; i < count; ++i) (this->*one)();
  }
  // Whether a new client is answered.
  bool serves() {
    Client client(socket_name);
    client.send("hello\n");
    room.serve(client);
    return client.text == "asked hello\n";
  }
  bool serves(uid_t user) {
    const As as(user);
    return serves();
  }

  ControlRoom room;

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
  std::vector<std::unique_ptr<Client>> clients_;
};

// As many as this process may have.
std::size_t places() {
  return ::geteuid() == 0 ? ControlServer::max_clients : ControlServer::max_of_user;
}

bool was_told_to_go(Client& client) {
  client.receive();
  return client.receive();
}

bool is_root() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: only root can be several users");
  return false;
}

}  // namespace

TEST_CASE("places: a newcomer takes the place of the client that is silent for longest") {
  Places at;
  Client& longest = at.silent();
  Client& asked = at.busy();
  Client& begun = at.silent();
  begun.send("he");
  at.room.settle();
  for (std::size_t i = 3; i < places(); ++i) at.silent();
  CHECK(at.serves());
  CHECK(was_told_to_go(longest));
  CHECK_EQ(longest.text, "{\"ok\":false,\"error\":\"no request came while others waited\"}\n");
  CHECK_FALSE(begun.receive());

  at.silent();
  CHECK(at.serves());
  CHECK(was_told_to_go(begun));
  at.room.serve(asked);
  CHECK(asked.text.ends_with("line " + std::to_string(ControlRoom::many_lines - 1) + "\n"));
}

TEST_CASE("places: one that has asked keeps its place, and is answered later") {
  Places at;
  for (std::size_t i = 0; i + 1 < places(); ++i) at.busy();
  Client unread(at.room.path);
  while (at.room.wait(0)) {
  }
  Client late(at.room.path);
  unread.send("hello\n");  // after that, so that it is looked at after that
  at.room.serve(late);
  CHECK_NE(late.text.find("too many clients"), std::string::npos);
  at.room.serve(unread);
  CHECK_EQ(unread.text, "asked hello\n");
  CHECK(at.serves());
}

TEST_CASE(
    "places: one user that takes all it can, silent or busy, keeps out neither others nor root") {
  if (!is_root()) return;
  for (Client& (Places::*one)() : {&Places::silent, &Places::busy}) {
    Places at;
    at.fill(mallory, 3 * ControlServer::max_clients, one);
    CHECK(at.serves(alice));
    CHECK(at.serves());
    // But itself it does, if it lets itself be answered and does not take it.
    CHECK_EQ(at.serves(mallory), one == &Places::silent);
  }
}

TEST_CASE("places: several users at once keep out nobody while they say nothing, and never root") {
  if (!is_root()) return;
  for (Client& (Places::*one)() : {&Places::silent, &Places::busy}) {
    Places at;
    for (uid_t user = mallory; user < mallory + 3; ++user) {
      at.fill(user, ControlServer::max_of_user, one);
    }
    CHECK_EQ(at.serves(alice), one == &Places::silent);
    CHECK(at.serves());
  }
}

TEST_CASE("places: who has all of a user's places takes none of another user's silent clients") {
  if (!is_root()) return;
  Places at;
  at.fill(alice, 1, &Places::silent);
  at.fill(mallory, ControlServer::max_of_user, &Places::busy);
  CHECK_FALSE(at.serves(mallory));
}

TEST_CASE("places: root's silent clients make room for users") {
  if (!is_root()) return;
  Places at;
  at.fill(0, ControlServer::max_clients, &Places::silent);
  CHECK(at.serves(alice));
}
