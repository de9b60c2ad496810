// Whatever the configuration's name means, reading it ends.
#include "rules/config/config_file.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "rules/config/config.h"
#include "tests/support/temporary_file.h"
#include "tests/support/temporary_folder.h"

namespace swnat::rules {
namespace {

void expect_error(const std::string& path, const std::string& error) {
  INFO(path);
  const LoadResult result = load_config(path);
  CHECK_FALSE(result.config);
  REQUIRE(result.errors.size() == 1);
  CHECK(result.errors[0].text() == path + ": " + error);
}

TEST_CASE("what is no regular file is named and not read") {
  const test::TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  expect_error(pipe, "is a pipe (allowed: a regular file)");
  expect_error(folder / "", "is a directory (allowed: a regular file)");
  expect_error("/dev/zero", "is a device (allowed: a regular file)");

  const std::string path = folder / "socket";
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  expect_error(path, "is a socket (allowed: a regular file)");
  close(socket);

  std::filesystem::create_symlink(pipe, folder / "link");
  expect_error(folder / "link", "is a pipe (allowed: a regular file)");
}

TEST_CASE("a link to a regular file is as good as the file") {
  const test::TemporaryFolder folder;
  const test::TemporaryFile file("# text\n");
  std::filesystem::create_symlink(file.path(), folder / "link");
  const FileText read = read_config_file(folder / "link");
  CHECK(read.error == "");
  CHECK(read.text == "# text\n");
}

TEST_CASE("a file has a largest size") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "swnat.toml";
  std::ofstream(path) << std::string(largest_config, '\n');
  CHECK(read_config_file(path).text.size() == largest_config);
  std::ofstream(path, std::ios::app) << '\n';
  expect_error(path, "is too large (allowed: at most 16777216 bytes)");
}

}  // namespace
}  // namespace swnat::rules
