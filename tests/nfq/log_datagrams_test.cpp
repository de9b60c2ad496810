#include "nfq/log_datagrams.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "nfq/ipfix_output.h"
#include "tests/support/log_batches.h"
#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

// A socket that reads datagrams, or what connects to it.
class Reader {
 public:
  explicit Reader(const std::string& path) : Reader(AF_UNIX, SOCK_DGRAM, path) {}
  explicit Reader(int type) : Reader(AF_INET, type, "") {}

  IpEndpoint endpoint() const {
    sockaddr_in name{};
    socklen_t size = sizeof name;
    REQUIRE_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    return {parse_address("127.0.0.1").value(), ntohs(name.sin_port)};
  }
  std::string next() const { return next_of(socket_.get()); }
  FileDescriptor accept() const {
    return FileDescriptor(::accept(socket_.get(), nullptr, nullptr));
  }

  static std::string next_of(int fd) {
    std::array<char, 65536> bytes;
    const ssize_t size = ::recv(fd, bytes.data(), bytes.size(), 0);
    REQUIRE_GE(size, 0);
    return {bytes.data(), static_cast<std::size_t>(size)};
  }

 private:
  Reader(int family, int type, const std::string& path)
      : socket_(::socket(family, type | SOCK_CLOEXEC, 0)) {
    const auto address =
        family == AF_UNIX ? DatagramAddress::of_path(path)
                          : DatagramAddress::of_endpoint({parse_address("127.0.0.1").value(), 0});
    REQUIRE_EQ(
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address.socket), address.size), 0);
    if (type == SOCK_STREAM) REQUIRE_EQ(::listen(socket_.get(), 4), 0);
  }

  FileDescriptor socket_;
};

rules::LogReceiver receiver_of(const Reader& reader, rules::Transport transport) {
  return {transport, reader.endpoint()};
}

}  // namespace

TEST_CASE("syslog: each record is a message of RFC 5424") {
  const TemporaryFolder folder;
  const Reader reader(folder / "log");
  LogCounters counters;
  SyslogOutput output(DatagramAddress::of_path(folder / "log"), counters);
  const LogBatch batch = batch_of(40000, 2);
  output.write(batch, Time(1000));
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string message = reader.next();
    CHECK(message.starts_with("<30>1 2026-11-29T12:00:00.123Z "));
    const std::string json(batch.line(i).substr(0, batch.line(i).size() - 1));
    const std::string end = " swnat-nfq " + std::to_string(::getpid()) + " mapping_made - " + json;
    CHECK(message.ends_with(end));
    const std::string host = message.substr(31, message.size() - end.size() - 31);
    CHECK_FALSE(host.empty());
    CHECK_EQ(host.find(' '), std::string::npos);
  }
}

TEST_CASE("syslog: it may be elsewhere") {
  const Reader reader(SOCK_DGRAM);
  LogCounters counters;
  SyslogOutput output(DatagramAddress::of_endpoint(reader.endpoint()), counters);
  output.write(batch_of(40000, 1), Time(1000));
  CHECK(reader.next().starts_with("<30>1 "));
}

TEST_CASE("journal: records have fields that can be matched") {
  const TemporaryFolder folder;
  const Reader reader(folder / "journal");
  LogCounters counters;
  JournalOutput output(DatagramAddress::of_path(folder / "journal"), counters);
  const LogBatch batch = batch_of(40000, 1);
  output.write(batch, Time(1000));
  CHECK_EQ(reader.next(), "MESSAGE=" + batch.text() +
                              "PRIORITY=6\nSYSLOG_IDENTIFIER=swnat-nfq\nSWNAT_EVENT=mapping_made\n"
                              "SWNAT_NAMESPACE=blue\nSWNAT_EXTERNAL=203.0.113.1:40000\n");
}

TEST_CASE("datagrams: who is away is tried again later, and told what is missing") {
  const TemporaryFolder folder;
  LogCounters counters;
  const auto& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::syslog)];
  SyslogOutput output(DatagramAddress::of_path(folder / "log"), counters);
  output.write(batch_of(40000, 3), Time(1000));
  CHECK_EQ(own.lost, 3);
  CHECK_EQ(own.errors, 1);
  const Reader reader(folder / "log");
  output.write(batch_of(40003, 1), Time(1000) + LogOutput::retry_pause);
  CHECK(reader.next().ends_with(R"("event":"lost","count":3})"));
  CHECK(reader.next().ends_with(R"("external":"203.0.113.1:40003"})"));
  CHECK_EQ(own.records, 1);
}

TEST_CASE("datagrams: who reads nothing holds nobody up") {
  const TemporaryFolder folder;
  const Reader reader(folder / "log");
  LogCounters counters;
  const auto& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::syslog)];
  SyslogOutput output(DatagramAddress::of_path(folder / "log"), counters);
  output.write(batch_of(1, 60'000), Time(1000));
  CHECK_EQ(own.errors, 1);
  CHECK_EQ(own.records + own.lost, 60'000);
  CHECK_GT(own.lost, 0);
}

TEST_CASE("ipfix output: over UDP templates come first, and again after a minute") {
  const Reader reader(SOCK_DGRAM);
  LogCounters counters;
  IpfixOutput output(receiver_of(reader, rules::Transport::udp), false, counters);
  const auto is_templates = [&] { return reader.next().substr(16, 2) == std::string("\0\2", 2); };
  output.tick(Time(1000));
  CHECK(is_templates());
  output.write(batch_of(40000, 1), Time(2000));
  CHECK_FALSE(is_templates());
  output.tick(Time(3000));
  output.write(batch_of(40000, 1), Time(1000) + IpfixOutput::template_pause);
  CHECK(is_templates());
  CHECK_FALSE(is_templates());
}

TEST_CASE("ipfix output: over TCP templates come with each connection") {
  const Reader reader(SOCK_STREAM);
  LogCounters counters;
  const auto& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::ipfix)];
  IpfixOutput output(receiver_of(reader, rules::Transport::tcp), false, counters);
  for (int i = 0; i < 2; ++i) {
    output.write(batch_of(40000, 1), Time(1000 * (i + 1)));
    const FileDescriptor connection = reader.accept();
    std::string bytes;
    while (bytes.size() < 16 || bytes.find(std::string("\x9c\x40", 2)) == std::string::npos) {
      bytes += Reader::next_of(connection.get());
    }
    CHECK_EQ(bytes.substr(16, 2), std::string("\0\2", 2));
    CHECK_EQ(bytes.substr(8, 4), std::string(4, '\0'));
  }
  CHECK_EQ(own.records, 2);
  CHECK_EQ(own.lost, 0);
}

TEST_CASE("ipfix output: a collector that is away is told once, and tried again") {
  LogCounters counters;
  const auto& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::ipfix)];
  rules::LogReceiver receiver;
  {
    const Reader reader(SOCK_STREAM);
    receiver = receiver_of(reader, rules::Transport::tcp);
  }
  IpfixOutput output(receiver, false, counters);
  output.write(batch_of(40000, 2), Time(1000));
  output.write(batch_of(40000, 2), Time(2000));
  CHECK_EQ(own.errors, 1);
  CHECK_EQ(own.lost, 4);
  output.write(batch_of(40000, 2), Time(1000) + LogOutput::retry_pause);
  CHECK_EQ(own.errors, 2);
}
