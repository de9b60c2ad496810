#include "nfq/state_file.h"

#include <doctest/doctest.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "nfq/error.h"
#include "tests/support/temporary_folder.h"

using namespace swnat::nfq;
using swnat::test::TemporaryFolder;

namespace {

// What happens once, before the next call of these: what another daemon does just then.
std::function<void()> before_flock;
std::function<void()> before_unlink;

}  // namespace

// Instead of the C library's.
extern "C" int flock(int file, int operation) noexcept {
  if (before_flock) std::exchange(before_flock, {})();
  return static_cast<int>(::syscall(SYS_flock, file, operation));
}
extern "C" int unlink(const char* path) noexcept {
  if (before_unlink) std::exchange(before_unlink, {})();
  return static_cast<int>(::syscall(SYS_unlink, path));
}

namespace {

constexpr std::size_t size = 8192;
// No disk has this much.
constexpr std::size_t too_much = std::size_t{1} << 62;

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// As the daemon begins with a file that is of use to it.
struct Opened : StateFile {
  Opened(const std::string& path, std::size_t wanted) : StateFile(path) { resize(wanted); }
};

// What is said to be wrong with the file, before what is allowed.
std::string refusal(const std::string& path) {
  const std::string before = "state " + path + ": ";
  const std::string after =
      " (allowed: a regular file of the daemon's own user, " + std::to_string(::geteuid()) +
      ", that nobody else may write to); remove it, or set another control.state";
  try {
    const StateFile state(path);
  } catch (const Error& error) {
    const std::string text = error.what();
    REQUIRE(text.starts_with(before));
    REQUIRE(text.ends_with(after));
    return text.substr(before.size(), text.size() - before.size() - after.size());
  }
  return "";
}

}  // namespace

TEST_CASE("a state file is its owner's, has its size, and keeps what was written") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  {
    Opened state(path, size);
    REQUIRE_EQ(state.bytes().size(), size);
    state.bytes()[size - 1] = std::byte{7};
    state.keep();
  }
  struct stat file {};
  REQUIRE_EQ(::stat(path.c_str(), &file), 0);
  CHECK_EQ(file.st_mode & 07777, 0600u);
  const StateFile state(path);
  REQUIRE_EQ(state.bytes().size(), size);
  CHECK_EQ(state.bytes()[size - 1], std::byte{7});
}

TEST_CASE("a start that fails leaves neither the file nor the folders that it made") {
  const TemporaryFolder folder;
  { const Opened state(folder / "outer/inner/state", size); }
  CHECK(std::filesystem::is_empty(folder.name()));
  CHECK_THROWS_AS(Opened(folder / "outer/inner/state", too_much), Error);
  CHECK(std::filesystem::is_empty(folder.name()));
  CHECK_THROWS_AS(Opened(folder / "state", too_much), Error);
  CHECK(std::filesystem::is_empty(folder.name()));

  {
    Opened state(folder / "outer/inner/state", size);
    CHECK_EQ(state.keep(), "");
  }
  CHECK(std::filesystem::exists(folder / "outer/inner/state"));
}

TEST_CASE("a file that was there before stays as it was when there is no room for more") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path, "sessions");
  CHECK_THROWS_AS(Opened(path, too_much), Error);
  CHECK_EQ(read(path), "sessions");
}

TEST_CASE("a state file serves one daemon, which the second one leaves alone") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const Opened first(path, size);
  CHECK_THROWS_WITH_AS(StateFile{path}, ("state " + path + ": another daemon uses it").c_str(),
                       Error);
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("a file that another daemon puts aside before it is locked is let go") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path, "sessions");
  before_flock = [&] { std::filesystem::rename(path, path + ".aside-1"); };
  Opened state(path, size);
  state.keep();
  CHECK_EQ(read(path), std::string(size, '\0'));
  CHECK_EQ(read(path + ".aside-1"), "sessions");

  // The other one has made its own by then.
  std::filesystem::rename(path, path + ".aside-1");
  write(path, "sessions");
  std::unique_ptr<StateFile> other;
  before_flock = [&] {
    std::filesystem::rename(path, path + ".aside-2");
    other = std::make_unique<StateFile>(path);
  };
  CHECK_THROWS_WITH_AS(StateFile{path}, ("state " + path + ": another daemon uses it").c_str(),
                       Error);
}

TEST_CASE("a file that another daemon locked first stays, with the size that it gave it") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  std::unique_ptr<Opened> other;
  before_flock = [&] { other = std::make_unique<Opened>(path, size); };
  CHECK_THROWS_AS(StateFile{path}, Error);
  other->keep();
  CHECK(std::filesystem::exists(path));
  other.reset();

  std::filesystem::resize_file(path, 1 << 20);
  before_flock = [&] { Opened(path, size).keep(); };
  const StateFile state(path);
  CHECK_EQ(state.bytes().size(), size);
}

TEST_CASE("what a failing start undoes is nobody else's meanwhile") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  bool was_locked = false;
  {
    const Opened state(path, size);
    before_unlink = [&] {
      try {
        const StateFile other(path);
      } catch (const Error&) {
        was_locked = true;
      }
    };
  }
  CHECK(was_locked);
}

TEST_CASE("what is no file is neither followed nor touched") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const std::string target = folder / "target";
  std::filesystem::create_symlink(target, path);
  CHECK_EQ(refusal(path), "is a symbolic link");
  CHECK_FALSE(std::filesystem::exists(target));
  write(target, "precious");
  CHECK_THROWS_AS(StateFile{path}, Error);
  CHECK_EQ(read(target), "precious");
  CHECK(std::filesystem::is_symlink(path));

  const std::string pipe = folder / "pipe";
  REQUIRE_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  CHECK_EQ(refusal(pipe), "is no regular file");
  CHECK_THROWS_AS(StateFile{folder.name()}, Error);
  CHECK(std::filesystem::exists(pipe));
}

TEST_CASE("what others own or may write to is refused and stays as it is") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path, "sessions");
  for (const mode_t mode : {0620u, 0602u, 0666u}) {
    ::chmod(path.c_str(), mode);
    CHECK_EQ(refusal(path), "has mode 0" + std::to_string(mode >> 6) +
                                std::to_string(mode >> 3 & 7) + std::to_string(mode & 7) +
                                ", so that others may write to it");
  }
  ::chmod(path.c_str(), 0600);
  const std::string other = folder / "other";
  REQUIRE_EQ(::link(path.c_str(), other.c_str()), 0);
  CHECK_EQ(refusal(path), "has another name too (a hard link)");
  ::unlink(other.c_str());
  if (::geteuid() == 0) {
    REQUIRE_EQ(::chown(path.c_str(), 65534, 0), 0);
    CHECK_EQ(refusal(path), "belongs to user 65534");
  }
  CHECK_EQ(read(path), "sessions");
  REQUIRE_EQ(::chown(path.c_str(), ::geteuid(), static_cast<gid_t>(-1)), 0);
  CHECK_EQ(refusal(path), "");
}

TEST_CASE("what is of no use is put aside whole, and the last few are kept") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  const auto aside = [&](int number) { return path + ".aside-" + std::to_string(number); };
  write(path + ".aside-x", "somebody's");
  for (int number = 1; number <= 5; ++number) {
    const std::string old = "sessions " + std::to_string(number);
    write(path, old);
    StateFile state(path);
    state.put_aside("is old");
    CHECK(state.bytes().empty());
    state.resize(size);
    CHECK_EQ(state.bytes()[0], std::byte{0});
    std::string said =
        "state " + path + ": is old; put aside as " + aside(number) + ", starting without sessions";
    if (number > 3) said += "; " + aside(number - 3) + " removed";
    CHECK_EQ(state.keep(), said);
    CHECK_EQ(state.keep(), "");
    CHECK_EQ(read(aside(number)), old);
  }
  CHECK_EQ(read(aside(3)), "sessions 3");
  CHECK_FALSE(std::filesystem::exists(aside(2)));
  CHECK_EQ(read(path + ".aside-x"), "somebody's");
  CHECK_EQ(read(path), std::string(size, '\0'));
}

TEST_CASE("names that are taken are passed over, also where numbers end") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path + ".aside-18446744073709551615", "last");
  for (const char* const name : {"0", "1"}) {
    write(path, "sessions");
    StateFile state(path);
    state.put_aside("is old");
    state.keep();
    CHECK_EQ(read(path + ".aside-" + name), "sessions");
  }
}

TEST_CASE("a start that fails has put nothing aside") {
  const TemporaryFolder folder;
  const std::string path = folder / "state";
  write(path, "sessions");
  write(path + ".aside-7", "older");
  {
    StateFile state(path);
    state.put_aside("is old");
    state.resize(size);
    CHECK_EQ(read(path + ".aside-8"), "sessions");
  }
  CHECK_EQ(read(path), "sessions");
  CHECK_FALSE(std::filesystem::exists(path + ".aside-8"));
  {
    StateFile state(path);
    state.put_aside("is old");
    CHECK_THROWS_AS(state.resize(too_much), Error);
  }
  CHECK_EQ(read(path), "sessions");
  CHECK_EQ(read(path + ".aside-7"), "older");
}

TEST_CASE("only what a file system in memory does not have yet counts as memory") {
  const std::string path = "/dev/shm/swnat-state-test-" + std::to_string(::getpid());
  struct statfs system {};
  if (::statfs("/dev/shm", &system) == 0 && system.f_type == TMPFS_MAGIC) {
    StateFile state(path);
    CHECK_EQ(state.memory_wanted(1 << 20), 1 << 20);
    state.resize(1 << 19);
    CHECK_EQ(state.memory_wanted(1 << 20), 1 << 19);
    CHECK_EQ(state.memory_wanted(1 << 18), 0);
  }
}
