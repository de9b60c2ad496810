// Questions to a daemon: a stand-in for it, on a socket of its own.
#include "tools/pcp/daemon_control.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::pcp;
using namespace swnat::test;

namespace {

// Answers nothing by itself.
class StandIn {
 public:
  explicit StandIn(const std::string& path) : file_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE_EQ(::bind(file_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    REQUIRE_EQ(::listen(file_.get(), 100), 0);
  }

  // The next client's request; it is answered with this text, and then left alone.
  std::string answer(const std::string& text) {
    const File client = accept();
    std::string request(4096, '\0');
    const ssize_t size = ::recv(client.get(), request.data(), request.size(), 0);
    REQUIRE_GT(size, 0);
    request.resize(static_cast<std::size_t>(size));
    ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
    return request;
  }
  File accept() { return File(::accept4(file_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }

 private:
  File file_;
};

class Room {
 public:
  Room() {
    sd_event* loop = nullptr;
    REQUIRE_GE(sd_event_new(&loop), 0);
    loop_.reset(loop);
    control.emplace(loop, path);
  }

  bool ask(const char* command = "status") {
    return control->ask({{"command", command}}, [this](const Json* answer) {
      answers.push_back(answer == nullptr ? "none" : answer->dump());
    });
  }
  void settle() {
    while (sd_event_run(loop_.get(), 20'000) > 0) {
    }
  }

  TemporaryFolder folder;
  std::string path = folder / "control.sock";
  std::vector<std::string> answers;

 private:
  Loop loop_;

 public:
  std::optional<DaemonControl> control;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("daemon: a question has its answer, and a list its lines") {
  Room room;
  StandIn daemon(room.path);
  CHECK(room.ask());
  CHECK_EQ(daemon.answer("{\"ok\":true}\n"), "{\"command\":\"status\"}\n");
  room.settle();
  room.ask("forward-list");
  daemon.answer("{\"ok\":true}\n{\"to\":\"a\"}\n{\"to\":\"b\"}\n{\"end\":true}\n");
  room.settle();
  room.ask("forward-list");
  daemon.answer("{\"ok\":true}\n{\"end\":true}\n");
  room.settle();
  REQUIRE_EQ(room.answers.size(), 3);
  CHECK_EQ(room.answers[0], R"({"ok":true})");
  CHECK_EQ(room.answers[1], R"({"ok":true,"lines":[{"to":"a"},{"to":"b"}]})");
  CHECK_EQ(room.answers[2], R"({"ok":true,"lines":[]})");
}

TEST_CASE("daemon: what is cut, or no answer, is none") {
  Room room;
  StandIn daemon(room.path);
  for (const char* text : {"", "{\"ok\":true}", "{\"ok\":true}\n{\"to\":\"a\"}\n", "{\"ok\":tr",
                           "nonsense\n", "[]\n", "{\"ok\":true}\n3\n{\"end\":true}\n"}) {
    CAPTURE(text);
    room.answers.clear();
    room.ask();
    daemon.answer(text);
    room.settle();
    CHECK_EQ(room.answers, Texts{"none"});
  }
}

TEST_CASE("daemon: where it is away that is told later, not at once") {
  Room room;
  CHECK(room.ask());
  CHECK(room.answers.empty());
  room.settle();
  CHECK_EQ(room.answers, Texts{"none"});
}

TEST_CASE("daemon: a few questions are asked at a time, so many wait, and others find no room") {
  Room room;
  StandIn daemon(room.path);
  std::size_t taken = 0;
  while (taken < 1000 && room.ask()) ++taken;
  CHECK_EQ(taken, DaemonControl::most_at_once + DaemonControl::most_waiting);
  std::vector<File> clients;
  for (std::size_t i = 0; i < DaemonControl::most_at_once; ++i) clients.push_back(daemon.accept());
  clients.clear();  // they get no answer, and the next ones come
  room.settle();
  CHECK_EQ(room.answers, Texts(DaemonControl::most_at_once, "none"));
  daemon.answer("{\"ok\":true}\n");
  room.settle();
  CHECK_EQ(room.answers.back(), R"({"ok":true})");
  CHECK(room.ask());
}
