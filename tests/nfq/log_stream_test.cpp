#include "nfq/log_stream.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <string>

using namespace swnat::nfq;

namespace {

struct Ends {
  FileDescriptor reader;
  FileDescriptor writer;
};

Ends make_pipe() {
  std::array<int, 2> ends{};
  REQUIRE_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  // As small as it can be.
  ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

Ends make_sockets() {
  std::array<int, 2> ends{};
  REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {FileDescriptor(ends[0]), FileDescriptor(ends[1])};
}

// Takes all that is there.
std::string drain(int fd) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  std::string all;
  std::array<char, 4096> bytes;
  for (ssize_t size; (size = ::read(fd, bytes.data(), bytes.size())) > 0;) {
    all.append(bytes.data(), static_cast<std::size_t>(size));
  }
  return all;
}

void fill_and_go_on(const Ends& ends) {
  LogStream log(ends.writer.get());
  const std::string line(99, 'x');
  for (int i = 0; i < 10'000; ++i) log.write(line + "\n");
  std::string taken = drain(ends.reader.get());
  log.write("swnat-nfq: first\n  second\n");
  taken += drain(ends.reader.get());

  std::istringstream lines(taken);
  int whole = 0;
  std::string last;
  while (std::getline(lines, last) && last.front() == 'x') whole += last == line ? 1 : 0;
  CHECK_EQ(last, fmt::format("swnat-nfq: {} lines lost", 10'000 - whole));
  std::getline(lines, last);
  CHECK_EQ(last, "swnat-nfq: first");
  std::getline(lines, last);
  CHECK_EQ(last, "  second");
}

}  // namespace

TEST_CASE("a full pipe costs lines and no time, and then their number is told") {
  fill_and_go_on(make_pipe());
}

TEST_CASE("so does a full socket") {
  fill_and_go_on(make_sockets());
}

TEST_CASE("the mode of the open file, which others share, stays as it is") {
  const Ends ends = make_pipe();
  LogStream log(ends.writer.get());
  log.write("line\n");
  CHECK_EQ(::fcntl(ends.writer.get(), F_GETFL) & O_NONBLOCK, 0);
  CHECK_EQ(drain(ends.reader.get()), "line\n");
}

TEST_CASE("a line that is longer than a pipe is cut, and the next one begins a new line") {
  const Ends ends = make_pipe();
  LogStream log(ends.writer.get());
  log.write(std::string(100'000, 'x') + "\n");
  const std::string cut = drain(ends.reader.get());
  CHECK_EQ(cut, std::string(cut.size(), 'x'));
  log.write("next\n");
  CHECK_EQ(drain(ends.reader.get()), "\nswnat-nfq: 1 line lost\nnext\n");
}

TEST_CASE("a closed file costs nothing but lines") {
  LogStream log(-1);
  log.write("line\n");
  LogStream full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  full.write("line\n");
}
