#include "nfq/log_datagrams.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/support/log_batches.h"
#include "tests/support/socket_reader.h"
#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

TEST_CASE("syslog: each record is a message of RFC 5424") {
  const TemporaryFolder folder;
  const SocketReader reader(folder / "log");
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
  const SocketReader reader(SOCK_DGRAM);
  LogCounters counters;
  SyslogOutput output(DatagramAddress::of_endpoint(reader.endpoint()), counters);
  output.write(batch_of(40000, 1), Time(1000));
  CHECK(reader.next().starts_with("<30>1 "));
}

TEST_CASE("journal: records have fields that can be matched") {
  const TemporaryFolder folder;
  const SocketReader reader(folder / "journal");
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
  const SocketReader reader(folder / "log");
  output.write(batch_of(40003, 1), Time(1000) + LogOutput::retry_pause);
  CHECK(reader.next().ends_with(R"("event":"lost","count":3})"));
  CHECK(reader.next().ends_with(R"("external":"203.0.113.1:40003"})"));
  CHECK_EQ(own.records, 1);
}

TEST_CASE("datagrams: who reads nothing holds nobody up") {
  const TemporaryFolder folder;
  const SocketReader reader(folder / "log");
  LogCounters counters;
  const auto& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::syslog)];
  SyslogOutput output(DatagramAddress::of_path(folder / "log"), counters);
  output.write(batch_of(1, 60'000), Time(1000));
  CHECK_EQ(own.errors, 1);
  CHECK_EQ(own.records + own.lost, 60'000);
  CHECK_GT(own.lost, 0);
}
