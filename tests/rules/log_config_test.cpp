// What a good [log] becomes.
#include "rules/config/log_config.h"

#include <doctest/doctest.h>

#include "rules/config/config.h"
#include "swnat/address_text.h"
#include "tests/support/temporary_file.h"

namespace swnat::rules {
namespace {

LoadResult load(std::string_view more) {
  const test::TemporaryFile file(R"(
[external]
interface = "wan0"
addresses = ["203.0.113.1"]
[[namespace]]
name   = "blue"
fwmark = 1
)" + std::string(more));
  return load_config(file.path());
}

}  // namespace

TEST_CASE("the log") {
  const auto log_of = [](std::string_view lines) {
    const LoadResult result = load("[log]\n" + std::string(lines));
    REQUIRE(result.config);
    REQUIRE(result.config->log);
    return *result.config->log;
  };
  CHECK(log_of("file = \"/var/log/swnat/mappings.json\"") ==
        LogConfig{.file = "/var/log/swnat/mappings.json"});
  const LogConfig all = log_of(R"(
format = "json"
journal = true
syslog = true
ipfix = "tcp://[2001:db8::1]:4740"
destinations = true
events = ["block", "session"]
)");
  CHECK(all.file.empty());
  CHECK(all.journal);
  CHECK(all.syslog);
  CHECK_FALSE(all.syslog_receiver);
  REQUIRE(all.ipfix);
  CHECK(all.ipfix->transport == Transport::tcp);
  CHECK(to_text(all.ipfix->endpoint) == "[2001:db8::1]:4740");
  CHECK(all.destinations);
  CHECK(all.events == EventKinds{EventKind::block_taken, EventKind::block_given_up,
                                 EventKind::session_made, EventKind::session_ended});
  const LogConfig remote =
      log_of("syslog = \"udp://192.0.2.1:514\"\nipfix = \"udp://192.0.2.2:4739\"");
  CHECK_FALSE(remote.syslog);
  CHECK(remote.syslog_receiver ==
        LogReceiver{Transport::udp, parse_endpoint("192.0.2.1:514").value()});
  CHECK(remote.ipfix == LogReceiver{Transport::udp, parse_endpoint("192.0.2.2:4739").value()});
}

}  // namespace swnat::rules
