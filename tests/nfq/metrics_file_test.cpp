#include "nfq/metrics_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "nfq/metrics_outlets.h"
#include "tests/support/event_turns.h"
#include "tests/support/small_metrics.h"
#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Room {
  MakeMetrics make = [this] {
    ++made;
    return small_metrics(gateway);
  };
  void write_once(const std::string& file) {
    const int before = made;
    loop.turn_until([&] { return made > before && std::filesystem::is_regular_file(file); });
  }

  TemporaryFolder folder;
  std::string path = folder / "swnat.prom";
  EventTurns loop;
  Gateway gateway;
  int made = 0;
};

}  // namespace

TEST_CASE("metrics file: it is whole, for all to read, and goes when the daemon ends") {
  Room room;
  {
    const MetricsFile file(room.loop.get(), room.path, room.make);
    room.write_once(room.path);
    CHECK_EQ(contents(room.path), text_of(small_metrics(room.gateway)));
    struct stat found {};
    REQUIRE_EQ(::stat(room.path.c_str(), &found), 0);
    CHECK_EQ(found.st_mode & 07777, 0644u);
    CHECK_FALSE(std::filesystem::exists(room.path + ".new"));
  }
  CHECK(std::filesystem::is_empty(room.folder.name()));
}

TEST_CASE("metrics file: what was there before stays until the new one is whole") {
  Room room;
  std::ofstream(room.path) << "before\n";
  const MetricsFile file(room.loop.get(), room.path, room.make);
  int looks = 0;
  room.loop.turn_until([&] {
    const std::string text = contents(room.path);
    if (text != "before\n") return text == text_of(small_metrics(room.gateway));
    return ++looks < 0;
  });
  CHECK_GT(looks, 3);
}

TEST_CASE("metrics file: what lies in the new file's place is not written to") {
  Room room;
  const std::string victim = room.folder / "victim";
  std::ofstream(victim) << "precious\n";
  std::filesystem::create_symlink(victim, room.path + ".new");
  std::filesystem::create_symlink(victim, room.path);
  const MetricsFile file(room.loop.get(), room.path, room.make);
  room.loop.turn_until([&] { return !std::filesystem::is_symlink(room.path); });
  CHECK_EQ(contents(victim), "precious\n");
}

TEST_CASE("metrics file: one that cannot be written is tried again, and leaves nothing") {
  Room room;
  std::filesystem::create_directory(room.path);
  {
    const MetricsFile file(room.loop.get(), room.path, room.make);
    room.loop.turn_until([&] { return room.made == 1; });
    for (int i = 0; i < 100; ++i) room.loop.turn();
    CHECK_EQ(room.made, 1);  // not at once
  }
  CHECK(std::filesystem::is_directory(room.path));
  CHECK_FALSE(std::filesystem::exists(room.path + ".new"));
}

TEST_CASE("metrics file: a reload moves it, or ends it") {
  Room room;
  rules::Config config;
  config.metrics_textfile = room.path;
  MetricsOutlets outlets(room.loop.get(), config, room.make);
  outlets.write_file(config);
  room.write_once(room.path);
  const int before = room.made;
  outlets.write_file(config);
  for (int i = 0; i < 100; ++i) room.loop.turn();
  CHECK_EQ(room.made, before);

  config.metrics_textfile = room.folder / "other.prom";
  outlets.write_file(config);
  room.write_once(config.metrics_textfile);
  CHECK_FALSE(std::filesystem::exists(room.path));
  config.metrics_textfile.clear();
  outlets.write_file(config);
  CHECK(std::filesystem::is_empty(room.folder.name()));
}
