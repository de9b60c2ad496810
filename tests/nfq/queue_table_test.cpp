#include "nfq/queue_table.h"

#include <doctest/doctest.h>

#include <string>

#include "nfq/report.h"
#include "tests/support/temporary_file.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

TEST_CASE("the kernel's list of queues is read line by line") {
  const TemporaryFile file(
      "    0   5512     7 2 65531     3     4    90901  1\n"
      "nonsense\n"
      "65535 3496661946     0 2 65531     0     0    34558  1\n");
  const auto queues = kernel_queues(file.path());
  REQUIRE(queues.has_value());
  REQUIRE_EQ(queues->size(), 2u);
  CHECK_EQ((*queues)[0].number, 0);
  CHECK_EQ((*queues)[0].port_id, 5512u);
  CHECK_EQ((*queues)[0].waiting, 7u);
  CHECK_EQ((*queues)[0].dropped_full, 3u);
  CHECK_EQ((*queues)[0].dropped_overflow, 4u);
  CHECK_EQ((*queues)[1].number, 65535);
  CHECK_EQ((*queues)[1].port_id, 3496661946u);
}

TEST_CASE("a kernel without NFQUEUE has no list of queues") {
  CHECK_FALSE(kernel_queues("/tmp/swnat-no-such-file").has_value());
}

TEST_CASE("the report leaves out what never happened") {
  Counters packets{};
  QueueReport queue{.number = 4, .counts = {}, .kernel = {}};
  CHECK_EQ(counters_text(packets, {{"unowned", 0}}, {queue}),
           "packets by reason: none\nqueue 4: received 0 accepted 0 passed 0 dropped 0");
  packets[static_cast<std::size_t>(Reason::no_mapping)] = 12;
  queue.counts[static_cast<std::size_t>(QueueCounter::rebinds)] = 1;
  const std::string text = counters_text(packets, {{"forged_source", 3}, {"unowned", 0}}, {queue});
  CHECK_NE(text.find("no_mapping"), std::string::npos);
  CHECK_NE(text.find("12  pass"), std::string::npos);
  CHECK_NE(text.find("rebinds 1"), std::string::npos);
  CHECK_EQ(text.find("filtered"), std::string::npos);
  CHECK_NE(text.find("\ndropped by rules:\n  forged_source                     3\nqueue 4"),
           std::string::npos);
  CHECK_EQ(text.find("unowned"), std::string::npos);
}

TEST_CASE("a table that cannot be opened does not mean that the kernel has none") {
  CHECK_FALSE(swnat::nfq::kernel_queues("/nonexistent/table"));
  CHECK(swnat::nfq::kernel_queues("/dev/null/" + std::string(300, 'x')));
}
