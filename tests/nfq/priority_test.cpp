#include "rules/terminal/priority.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "nfq/file_descriptor.h"
#include "nfq/log_stream.h"

using namespace swnat::nfq;
using namespace swnat::rules;

namespace {

std::string name_of_file(int fd) {
  struct stat file {};
  REQUIRE_EQ(::fstat(fd, &file), 0);
  return fmt::format("{}:{}", file.st_dev, file.st_ino);
}

}  // namespace

TEST_CASE("priority: only the file that JOURNAL_STREAM names is the journal") {
  std::array<int, 2> ends{};
  REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const FileDescriptor mine(ends[0]);
  const FileDescriptor other(ends[1]);
  const std::string name = name_of_file(mine.get());
  CHECK(is_journal(mine.get(), name.c_str()));
  CHECK_FALSE(is_journal(other.get(), name.c_str()));
  CHECK_FALSE(is_journal(mine.get(), nullptr));
  CHECK_FALSE(is_journal(mine.get(), ""));
  CHECK_FALSE(is_journal(mine.get(), "8"));
  CHECK_FALSE(is_journal(mine.get(), (name + "1").c_str()));
  CHECK_FALSE(is_journal(-1, name.c_str()));
}

TEST_CASE("priority: each line has it, whether the last has an end or not") {
  CHECK_EQ(with_priority(Priority::warning, "a\n  b\n"), "<4>a\n<4>  b\n");
  CHECK_EQ(with_priority(Priority::error, "a"), "<3>a\n");
  CHECK_EQ(with_priority(Priority::info, "a\n\nb"), "<6>a\n<6>\n<6>b\n");
  CHECK_EQ(with_priority(Priority::notice, ""), "");
}

TEST_CASE("priority: how many lines were lost is a warning") {
  std::array<int, 2> ends{};
  REQUIRE_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const FileDescriptor reader(ends[0]);
  const FileDescriptor writer(ends[1]);
  const auto drain = [&] {
    std::string all(1 << 20, '\0');
    const ssize_t size = ::read(reader.get(), all.data(), all.size());
    return all.substr(0, size < 0 ? 0 : static_cast<std::size_t>(size));
  };
  LogStream log(writer.get(), true);
  for (int i = 0; i < 10'000; ++i) log.write("<6>" + std::string(99, 'x') + "\n");
  while (!drain().empty()) continue;
  log.write("<6>swnat-nfq: again\n");
  const std::string told = drain();
  CHECK_NE(told.find("<4>swnat-nfq: "), std::string::npos);
  CHECK(told.ends_with(" lines lost\n<6>swnat-nfq: again\n"));
}
