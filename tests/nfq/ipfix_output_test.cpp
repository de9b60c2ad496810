#include "nfq/ipfix_output.h"

#include <doctest/doctest.h>

#include "tests/support/log_batches.h"
#include "tests/support/socket_reader.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

rules::LogReceiver receiver_of(const SocketReader& reader, rules::Transport transport) {
  return {transport, reader.endpoint()};
}

}  // namespace

TEST_CASE("ipfix output: over UDP templates come first, and again after a minute") {
  const SocketReader reader(SOCK_DGRAM);
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
  const SocketReader reader(SOCK_STREAM);
  LogCounters counters;
  const auto& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::ipfix)];
  IpfixOutput output(receiver_of(reader, rules::Transport::tcp), false, counters);
  for (int i = 0; i < 2; ++i) {
    output.write(batch_of(40000, 1), Time(1000 * (i + 1)));
    const FileDescriptor connection = reader.accept();
    std::string bytes;
    while (bytes.size() < 16 || bytes.find(std::string("\x9c\x40", 2)) == std::string::npos) {
      bytes += SocketReader::next_of(connection.get());
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
    const SocketReader reader(SOCK_STREAM);
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
