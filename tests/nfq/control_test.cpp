// The control socket: clients of every kind.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "nfq/control_server.h"
#include "nfq/error.h"
#include "tests/support/control_room.h"
#include "tests/support/temporary_folder.h"

using namespace swnat::nfq;
using Client = swnat::test::ControlClient;
using Server = swnat::test::ControlRoom;
using swnat::test::TemporaryFolder;

namespace {

// As long as it lives, this process can open no more files.
class NoMoreFiles {
 public:
  NoMoreFiles() {
    REQUIRE_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const FileDescriptor lowest(::dup(0));
    rlimit none = before_;
    none.rlim_cur = static_cast<rlim_t>(lowest.get());
    REQUIRE_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoMoreFiles() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreFiles(const NoMoreFiles&) = delete;
  NoMoreFiles& operator=(const NoMoreFiles&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("a request line is answered, also when it comes in pieces or ends with the sending") {
  Server server;
  Client whole(server.path);
  whole.send("hello\n");
  server.serve(whole);
  CHECK_EQ(whole.text, "asked hello\n");

  Client pieces(server.path);
  for (const char* piece : {"he", "ll", "o", "\nmore"}) {
    pieces.send(piece);
    server.turn();
  }
  server.serve(pieces);
  CHECK_EQ(pieces.text, "asked hello\n");

  Client half_closed(server.path);
  half_closed.send("hello");
  half_closed.finish_sending();
  server.serve(half_closed);
  CHECK_EQ(half_closed.text, "asked hello\n");
}

TEST_CASE("garbage, silence and requests without an end harm nobody") {
  Server server;
  { Client gone(server.path); }
  Client silent(server.path);
  silent.finish_sending();
  server.serve(silent);
  CHECK_EQ(silent.text, "");

  Client garbage(server.path);
  garbage.send(std::string("\0\xff{[\"\n", 6));
  server.serve(garbage);
  CHECK_EQ(garbage.text.substr(0, 6), "asked ");

  Client endless(server.path);
  endless.send(std::string(ControlClient::max_request, 'x'));
  server.turn();
  server.turn();
  endless.send("xx");
  server.serve(endless);
  CHECK_NE(endless.text.find("longer than 4096"), std::string::npos);
}

TEST_CASE("a long answer is made as the client takes it, and other clients do not wait") {
  Server server;
  Client slow(server.path);
  slow.send("lines\n");
  for (int round = 0; round < 5'000; ++round) server.turn();
  CHECK_LT(server.pieces_made, Server::many_lines / 100);

  Client quick(server.path);
  quick.send("hello\n");
  server.serve(quick);
  CHECK_EQ(quick.text, "asked hello\n");

  server.serve(slow);
  CHECK_EQ(server.pieces_made, Server::many_lines / 100);
  const std::string last = "line " + std::to_string(Server::many_lines - 1) + "\n";
  CHECK_EQ(slow.text.substr(slow.text.size() - last.size()), last);
}

TEST_CASE("a stream that has nothing to say does nothing, and says what comes at once") {
  Server server;
  Client client(server.path);
  client.send("stream\n");
  server.settle();
  const int pieces = server.pieces_made;
  CHECK_FALSE(server.wait(0));
  for (const char* said : {"one\n", "two\n"}) {
    server.say(said);
    server.settle();
    CHECK_FALSE(client.receive());
  }
  CHECK_EQ(client.text, "ok\none\ntwo\n");
  CHECK_LE(server.pieces_made, pieces + 4);
}

TEST_CASE("a stream that is silent gets empty lines, and is not closed for that") {
  Server server;
  Client client(server.path);
  client.send("stream\n");
  while (client.text != "ok\n\n\n") {
    REQUIRE(server.wait(10 * ControlClient::quiet_microseconds));
    CHECK_FALSE(client.receive());
  }
  server.say("one\n");
  server.settle();
  client.receive();
  CHECK_EQ(client.text, "ok\n\n\none\n");
}

TEST_CASE("a stream whose client takes nothing waits for it, and nobody else does") {
  Server server;
  Client slow(server.path);
  slow.send("stream\n");
  server.settle();
  const std::string much(1 << 20, 'x');
  server.say(much);
  server.settle();
  server.say("end\n");
  CHECK_FALSE(server.wait(0));  // it is not asked again and again
  Client quick(server.path);
  quick.send("hello\n");
  server.serve(quick);
  CHECK_EQ(quick.text, "asked hello\n");
  while (!slow.text.ends_with("end\n")) {
    server.settle();
    CHECK_FALSE(slow.receive());
  }
  CHECK_EQ(slow.text.size(), 3 + much.size() + 4);
}

TEST_CASE("a stream whose client is gone ends without having anything to say") {
  Server server;
  for (std::size_t i = 0; i < 3 * ControlServer::max_clients; ++i) {
    Client gone(server.path);
    gone.send("stream\n");
    server.settle();
    CHECK_FALSE(gone.receive());
    CHECK_EQ(gone.text, "ok\n");
  }
  server.settle();
  Client next(server.path);
  next.send("hello\n");
  server.serve(next);
  CHECK_EQ(next.text, "asked hello\n");
}

TEST_CASE("a client that goes away in the middle of its answer is forgotten") {
  Server server;
  {
    Client gone(server.path);
    gone.send("lines\n");
    for (int round = 0; round < 100; ++round) server.turn();
  }
  for (int round = 0; round < 100; ++round) server.turn();
  Client next(server.path);
  next.send("hello\n");
  server.serve(next);
  CHECK_EQ(next.text, "asked hello\n");
}

TEST_CASE("the socket's file is for owner and group, and goes away with its folder") {
  TemporaryFolder folder;
  const std::string own = folder / "own";
  const std::string path = own + "/control.sock";
  {
    const ControlSocket socket(path);
    struct stat file {};
    REQUIRE_EQ(::stat(path.c_str(), &file), 0);
    CHECK_EQ(file.st_mode & 07777, 0660u);
    REQUIRE_EQ(::stat(own.c_str(), &file), 0);
    CHECK_EQ(file.st_mode & 07777, 0755u);
  }
  CHECK_FALSE(std::filesystem::exists(own));

  std::filesystem::create_directory(own);
  { const ControlSocket socket(path); }
  CHECK(std::filesystem::is_empty(own));

  std::filesystem::remove(own);
  {
    const ControlSocket socket(path);
    std::filesystem::create_directory(own + "/other");
  }
  CHECK(std::filesystem::exists(own));
}

TEST_CASE("a socket that nobody listens at is replaced, others are not") {
  TemporaryFolder folder;
  const std::string path = folder / "control.sock";
  {
    FileDescriptor dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  {
    const ControlSocket replaced(path);
    CHECK_THROWS_AS(ControlSocket{path}, Error);
    CHECK(std::filesystem::exists(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));

  std::filesystem::create_directory(path);
  CHECK_THROWS_AS(ControlSocket{path}, Error);
  CHECK(std::filesystem::exists(path));
  CHECK_THROWS_AS(ControlSocket{folder / std::string(200, 'x')}, Error);
  CHECK_THROWS_AS(ControlSocket{folder / "no/such/socket"}, Error);
}

TEST_CASE("a socket's file that another program put in place is not removed") {
  TemporaryFolder folder;
  const std::string path = folder / "control.sock";
  {
    const ControlSocket socket(path);
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
  }
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("without files for clients they wait, without the daemon going round and round") {
  Server server;
  Client client(server.path);
  client.send("hello\n");
  {
    const NoMoreFiles shortage;
    CHECK(server.wait(0));        // it is tried once
    CHECK_FALSE(server.wait(0));  // and not again at once
    CHECK_FALSE(client.receive());
  }
  while (server.wait(10 * ControlServer::pause_microseconds) && !client.receive()) {
  }
  CHECK_EQ(client.text, "asked hello\n");
}
