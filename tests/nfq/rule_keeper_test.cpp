#include "nfq/rule_keeper.h"

#include <doctest/doctest.h>
#include <endian.h>
#include <linux/fib_rules.h>
#include <linux/netconf.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>

#include <string>
#include <vector>

#include "nfq/kernel_events.h"
#include "nfq/look_schedule.h"
#include "nfq/rule_counters.h"

using namespace swnat;
using namespace swnat::nfq;

namespace {

constexpr std::size_t header_size = sizeof(nlattr);

// A netlink message, made piece by piece.
class Message {
 public:
  Message(unsigned type, std::size_t header) : bytes_(NLMSG_HDRLEN + NLMSG_ALIGN(header)) {
    bytes_[4] = static_cast<std::uint8_t>(type);
    bytes_[5] = static_cast<std::uint8_t>(type >> 8);
    finish();
  }
  Message& byte(std::size_t place, std::uint8_t value) {
    bytes_[NLMSG_HDRLEN + place] = value;
    return *this;
  }
  Message& add(unsigned type, const std::string& value) {
    const std::size_t size = header_size + value.size();
    bytes_.push_back(static_cast<std::uint8_t>(size));
    bytes_.push_back(0);
    bytes_.push_back(static_cast<std::uint8_t>(type));
    bytes_.push_back(0);
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.resize((bytes_.size() + 3) / 4 * 4);
    finish();
    return *this;
  }
  Message& text(unsigned type, const std::string& value) { return add(type, value + '\0'); }
  Message& number(unsigned type, std::uint32_t value) {
    return add(type, std::string(reinterpret_cast<const char*>(&value), sizeof value));
  }
  NetlinkBytes get() const { return bytes_; }

 private:
  void finish() { bytes_[0] = static_cast<std::uint8_t>(bytes_.size()); }

  std::vector<std::uint8_t> bytes_;
};

Message nft(unsigned type) {
  return {NFNL_SUBSYS_NFTABLES << 8 | type, sizeof(nfgenmsg)};
}

void check(KernelChange change, bool is_any, bool is_urgent) {
  CHECK_EQ(change.is_any, is_any);
  CHECK_EQ(change.is_urgent, is_urgent);
}

}  // namespace

TEST_CASE("of nftables our table counts, and iptables' tables that have chains of ours") {
  check(nftables_change(nft(NFT_MSG_DELTABLE).text(NFTA_TABLE_NAME, "swnat").get()), true, true);
  check(nftables_change(nft(NFT_MSG_NEWRULE).text(NFTA_RULE_TABLE, "swnat").get()), true, false);
  check(nftables_change(nft(NFT_MSG_DELTABLE).text(NFTA_TABLE_NAME, "filter").get()), false, false);
  check(nftables_change(nft(NFT_MSG_NEWGEN).text(1, "swnat").get()), false, false);
  const auto rule = [](unsigned type, const char* chain) {
    return nftables_change(
        nft(type).text(NFTA_RULE_TABLE, "raw").text(NFTA_RULE_CHAIN, chain).get());
  };
  check(rule(NFT_MSG_DELRULE, "PREROUTING"), true, true);
  check(rule(NFT_MSG_NEWRULE, "PREROUTING"), true, false);
  const auto chain = [](const char* name) {
    return nftables_change(
        nft(NFT_MSG_DELCHAIN).text(NFTA_CHAIN_TABLE, "mangle").text(NFTA_CHAIN_NAME, name).get());
  };
  check(chain("SWNAT-OUT"), true, true);
  check(chain("OTHER"), true, false);
}

TEST_CASE("of routing what is ours counts, and switching forwarding off") {
  const auto routing = [](const Message& message) {
    return routing_change(message.get(), {"blue0"});
  };
  constexpr std::size_t protocol = 5;
  check(routing(Message(RTM_DELROUTE, sizeof(rtmsg)).byte(protocol, 83)), true, true);
  check(routing(Message(RTM_NEWROUTE, sizeof(rtmsg)).number(RTA_TABLE, 0x5300'0001)), true, false);
  check(routing(Message(RTM_DELROUTE, sizeof(rtmsg)).number(RTA_TABLE, 254)), false, false);
  const auto rule = [&](std::uint8_t maker) {
    return routing(Message(RTM_DELRULE, sizeof(fib_rule_hdr)).number(FRA_PROTOCOL, maker));
  };
  check(rule(83), true, true);
  check(rule(RTPROT_KERNEL), false, false);
  const auto forwarding = [&](std::int32_t interface, std::uint32_t value) {
    return routing(Message(RTM_NEWNETCONF, sizeof(netconfmsg))
                       .number(NETCONFA_IFINDEX, static_cast<std::uint32_t>(interface))
                       .number(NETCONFA_FORWARDING, value));
  };
  check(forwarding(NETCONFA_IFINDEX_ALL, 0), true, true);
  check(forwarding(NETCONFA_IFINDEX_ALL, 1), true, false);
  check(forwarding(7, 0), true, false);
  const auto link = [&](const char* name) {
    return routing(Message(RTM_NEWLINK, sizeof(ifinfomsg)).text(IFLA_IFNAME, name));
  };
  check(link("blue0"), true, true);
  check(link("veth77"), true, false);
}

TEST_CASE("events that are cut short tell nothing, and do no harm") {
  const Message whole = nft(NFT_MSG_DELTABLE).text(NFTA_TABLE_NAME, "swnat");
  constexpr std::size_t padding = 2;
  for (std::size_t size = 0; size < whole.get().size() - padding; ++size) {
    check(nftables_change(whole.get().first(size)), false, false);
    routing_change(whole.get().first(size), {});
  }
}

TEST_CASE("the rules' named counters are read") {
  const std::uint64_t packets = htobe64(7'000'000'000);
  const std::string value(reinterpret_cast<const char*>(&packets), sizeof packets);
  std::string data(2, '\0');
  data[0] = static_cast<char>(header_size + sizeof packets);
  data += std::string{NFTA_COUNTER_PACKETS, 0} + value;
  const auto message = [&](const char* table, std::uint32_t type) {
    return nft(NFT_MSG_NEWOBJ)
        .text(NFTA_OBJ_TABLE, table)
        .text(NFTA_OBJ_NAME, "guard")
        .number(NFTA_OBJ_TYPE, htobe32(type))
        .add(NFTA_OBJ_DATA, data);
  };
  const auto counter = rule_counter(message("swnat", NFT_OBJECT_COUNTER).get());
  REQUIRE(counter);
  CHECK_EQ(counter->name, "guard");
  CHECK_EQ(counter->packets, 7'000'000'000u);
  CHECK_FALSE(rule_counter(message("swnat", NFT_OBJECT_QUOTA).get()));
  CHECK_FALSE(rule_counter(message("other", NFT_OBJECT_COUNTER).get()));
}

TEST_CASE("a look follows an event of ours at once, and others' once a second") {
  LookSchedule schedule;
  const Time start{100'000};
  schedule.looked(start, Time{10});
  CHECK_EQ(schedule.due(), start + LookSchedule::pause);
  schedule.saw({false, false}, start);
  CHECK_EQ(schedule.due(), start + LookSchedule::pause);
  schedule.saw({true, false}, start + Time{10});
  CHECK_EQ(schedule.due(), start + LookSchedule::least_between);
  schedule.saw({true, true}, start + Time{20});
  CHECK_EQ(schedule.due(), start + Time{20} + LookSchedule::gathering);
  // More of them do not put it off.
  schedule.saw({true, true}, start + Time{60});
  CHECK_EQ(schedule.due(), start + Time{20} + LookSchedule::gathering);
  schedule.looked(start, Time{1000});
  CHECK_EQ(schedule.due(), start + Time{10'000});
  schedule.saw({true, false}, start + Time{10});
  CHECK_EQ(schedule.due(), start + Time{3000});
}

TEST_CASE("not even urgent events make a look follow a look without end") {
  LookSchedule schedule;
  Time now{100'000};
  int looks = 0;
  for (const Time end = now + Time{60'000}; now < end; now += Time{10}) {
    schedule.saw({true, true}, now);
    if (now < schedule.due()) continue;
    schedule.looked(now, Time{10});
    ++looks;
  }
  CHECK_GE(looks, 60);
  CHECK_LE(looks, 60 * 2 + LookSchedule::most_hurries);
}

TEST_CASE("who undoes repairs again and again is not fought without end") {
  RepairPauses pauses;
  Time now{100'000};
  for (int i = 1; i < RepairPauses::free_repairs; ++i) {
    CHECK_EQ(pauses.repaired("table", now), Time{0});
    CHECK_LE(pauses.allowed_at("table"), now);
    now += Time{100};
  }
  CHECK_EQ(pauses.repaired("table", now), RepairPauses::first_pause);
  CHECK_EQ(pauses.allowed_at("table"), now + RepairPauses::first_pause);
  CHECK_LE(pauses.allowed_at("another"), now);
  for (int i = 0; i < 20; ++i) {
    now = pauses.allowed_at("table");
    pauses.repaired("table", now);
  }
  CHECK_EQ(pauses.allowed_at("table"), now + RepairPauses::longest_pause);
  now += 3 * RepairPauses::longest_pause;
  CHECK_EQ(pauses.repaired("table", now), Time{0});
}

TEST_CASE("the state as text") {
  rules::Inspection seen;
  CHECK_EQ(state_text(seen), "missing");
  seen.state = rules::RuleState::differ;
  seen.differences = {"one", "two"};
  CHECK_EQ(state_text(seen), "differ: one; two");
}
