// What clients of both protocols are answered, over a stand-in for the daemon.
#include "tools/pcp/server.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/pcp/fake_control.h"
#include "tests/pcp/messages.h"

using namespace swnat;
using namespace swnat::pcp;
using namespace swnat::test;

namespace {

const Origin blue_host{3, endpoint("10.0.0.2:49152"), address("10.0.0.1")};
const Origin green_host{4, endpoint("10.0.0.2:49152"), address("10.0.0.1")};

rules::Config config_of_two() {
  rules::Config config;
  config.external_addresses = {address("203.0.113.1"), address("203.0.113.2")};
  config.pcp.enabled = true;
  config.pcp.max_per_namespace = 3;
  config.namespaces.resize(2);
  config.namespaces[0].name = "blue";
  config.namespaces[1].name = "green";
  return config;
}

struct Sent {
  Origin origin;
  Octets message;
};

class Room final : public Outlet {
 public:
  explicit Room(const Json& saved = nullptr) {
    book.emplace(control, saved, now);
    book->set_config(config_of_two());
    server.emplace(*book, *this);
    book->tick(now);
    control.answer();
  }

  void answer(const Origin& origin, View message) override {
    sent.push_back({origin, {message.begin(), message.end()}});
  }

  // What the client is answered, or nothing.
  Octets ask(const Octets& message, const std::string& tenant = "blue",
             const Origin& origin = blue_host) {
    sent.clear();
    server->receive(tenant, origin, message, now);
    control.answer();
    REQUIRE_LE(sent.size(), 1);
    return sent.empty() ? Octets{} : sent[0].message;
  }
  void travel(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now += Seconds(1);
      book->tick(now);
      control.answer();
    }
  }

  Seconds now{1000};
  FakeControl control;
  std::optional<Book> book;
  std::optional<Server> server;
  std::vector<Sent> sent;
};

// --- PCP

struct Map {
  int lifetime = 3600;
  std::uint8_t protocol = 17;
  std::uint16_t internal = 5000;
  IpEndpoint suggested{Ipv4Address{}, 0};
  std::uint8_t nonce = 1;
  Octets options = {};
  IpEndpoint remote{Ipv4Address{}, 0};  // PEER, if it has a port
};

Octets message_of(const Map& map) {
  Octets bytes{2, static_cast<std::uint8_t>(map.remote.port == 0 ? 1 : 2), 0, 0};
  append_32(bytes, static_cast<std::uint32_t>(map.lifetime));
  append_address(bytes, address("10.0.0.2"));
  bytes.insert(bytes.end(), 12, map.nonce);
  bytes.insert(bytes.end(), {map.protocol, 0, 0, 0});
  append_16(bytes, map.internal);
  append_16(bytes, map.suggested.port);
  append_address(bytes, map.suggested.address);
  if (map.remote.port != 0) {
    append_16(bytes, map.remote.port);
    append_16(bytes, 0);
    append_address(bytes, map.remote.address);
  }
  bytes.insert(bytes.end(), map.options.begin(), map.options.end());
  return bytes;
}

Result result_in(const Octets& answer) {
  REQUIRE_GE(answer.size(), 24);
  return Result{answer[3]};
}
std::uint32_t lifetime_in(const Octets& answer) {
  return read_32(answer, 4);
}
std::uint32_t epoch_in(const Octets& answer) {
  return read_32(answer, 8);
}
std::string external_in(const Octets& answer) {
  REQUIRE_GE(answer.size(), 60);
  return to_text(IpEndpoint{read_address(answer, 44), read_16(answer, 42)});
}

const Octets prefer_failure = octets("02 00 0000");

}  // namespace

TEST_CASE("map: a port is forwarded to the tenant whose link the request came over") {
  Room room;
  const Octets of_blue = room.ask(message_of({}));
  CHECK_EQ(result_in(of_blue), Result::success);
  CHECK_EQ(lifetime_in(of_blue), 3600);
  CHECK_EQ(external_in(of_blue), "203.0.113.1:40000");
  CHECK_EQ(room.sent[0].origin.interface, 3);
  const Octets of_green = room.ask(message_of({}), "green", green_host);
  CHECK_EQ(external_in(of_green), "203.0.113.1:40001");
  CHECK_EQ(room.sent[0].origin.interface, 4);
  REQUIRE_EQ(room.control.forwards.size(), 2);
  const Json& forward = room.control.forwards.at("blue udp 10.0.0.2:5000");
  CHECK_EQ(forward["owner"], "pcp");
  CHECK_EQ(forward["note"], "pcp 010101010101010101010101");
  CHECK_EQ(forward["any_port"], true);
}

TEST_CASE("map: what is suggested is asked for, as far as the NAT has it") {
  Room room;
  const auto external = [&](const char* text, const Octets& options = {}) {
    Map map{.suggested = {Ipv4Address{}, 0}, .options = options};
    const std::string_view whole(text);
    const auto at = whole.rfind(':');
    map.suggested = {address(whole.substr(0, at)),
                     static_cast<std::uint16_t>(std::stoi(std::string(whole.substr(at + 1))))};
    const std::size_t asked = room.control.count("forward-add");
    const Octets answer = room.ask(message_of(map));
    if (room.control.count("forward-add") == asked) return "refused " + std::to_string(answer[3]);
    return room.control.asked.back().value("external", "none");
  };
  CHECK_EQ(external("0.0.0.0:0"), "none");
  CHECK_EQ(external("203.0.113.2:40001"), "203.0.113.2:40001");
  CHECK_EQ(external("203.0.113.2:0"), "203.0.113.2");
  // The address that the host has already.
  CHECK_EQ(external("0.0.0.0:40001"), "203.0.113.2:40001");
  CHECK_EQ(external("192.0.2.1:40001"), "203.0.113.2:40001");
  CHECK_EQ(external(":::40001"), "203.0.113.2:40001");
  CHECK_EQ(external("2001:db8::1:40001"), "203.0.113.2:40001");
  // No port that may be the gateway's own.
  CHECK_EQ(external("203.0.113.2:22"), "203.0.113.2");
  CHECK_EQ(external("203.0.113.2:22", prefer_failure), "refused 11");
  CHECK_EQ(external("192.0.2.1:40001", prefer_failure), "refused 11");
  CHECK_EQ(external("203.0.113.2:40001", prefer_failure), "203.0.113.2:40001");
  CHECK_EQ(room.control.asked.back()["any_port"], false);
}

TEST_CASE("map: a port that is wanted and nothing else, but taken, cannot be provided") {
  Room room;
  room.control.refusal = "203.0.113.1:40000 is taken";
  const Map exact{.suggested = endpoint("203.0.113.1:40000"), .options = prefer_failure};
  CHECK_EQ(result_in(room.ask(message_of(exact))), Result::cannot_provide_external);
  const Octets none = room.ask(message_of({}));
  CHECK_EQ(result_in(none), Result::no_resources);
  CHECK_EQ(lifetime_in(none), 30);
  CHECK_EQ(none.size(), 60);
}

TEST_CASE("map: lifetimes are within what is configured, and at least two minutes") {
  Room room;
  const auto given = [&](int lifetime) {
    return lifetime_in(room.ask(message_of({.lifetime = lifetime})));
  };
  CHECK_EQ(given(1), 120);
  CHECK_EQ(given(121), 121);
  CHECK_EQ(given(2'000'000'000), 7200);
  rules::Config config = config_of_two();
  config.pcp.lifetime = Seconds(10);
  room.book->set_config(config);
  CHECK_EQ(given(1), 10);
}

TEST_CASE("map: who knows the nonce renews and deletes, and nobody else") {
  Room room;
  room.ask(message_of({}));
  room.travel(600);
  const Octets other = room.ask(message_of({.nonce = 2}));
  CHECK_EQ(result_in(other), Result::not_authorized);
  CHECK_EQ(lifetime_in(other), 3000);
  CHECK_EQ(result_in(room.ask(message_of({.lifetime = 0, .nonce = 2}))), Result::not_authorized);
  const Octets natpmp = room.ask(octets("00 01 0000 1388 0000 00000000"));
  CHECK_EQ(read_16(natpmp, 2), 2);
  CHECK_EQ(room.control.forwards.size(), 1);
  CHECK_EQ(lifetime_in(room.ask(message_of({}))), 3600);
  const Octets deleted = room.ask(message_of({.lifetime = 0}));
  CHECK_EQ(result_in(deleted), Result::success);
  CHECK_EQ(lifetime_in(deleted), 0);
  CHECK_EQ(external_in(deleted), "0.0.0.0:0");
  CHECK(room.control.forwards.empty());
  // Again, as after an answer that was lost.
  CHECK_EQ(result_in(room.ask(message_of({.lifetime = 0}))), Result::success);
}

TEST_CASE("map: a namespace has so many ports, and what is over makes room") {
  Room room;
  for (std::uint16_t port = 1; port <= 3; ++port) {
    CHECK_EQ(result_in(room.ask(message_of({.lifetime = 200, .internal = port}))), Result::success);
  }
  const Octets refused = room.ask(message_of({.internal = 4}));
  CHECK_EQ(result_in(refused), Result::user_ex_quota);
  CHECK_EQ(lifetime_in(refused), 30);
  CHECK_EQ(result_in(room.ask(message_of({.internal = 3}))), Result::success);
  CHECK_EQ(result_in(room.ask(message_of({}), "green", green_host)), Result::success);
  room.travel(200);
  CHECK_EQ(result_in(room.ask(message_of({.internal = 4}))), Result::success);
}

TEST_CASE("map: requests that are under way count, too") {
  Room room;
  for (std::uint16_t port = 1; port <= 5; ++port) {
    room.server->receive("blue", blue_host, message_of({.internal = port}), room.now);
  }
  // The same again is one request.
  room.server->receive("blue", blue_host, message_of({.internal = 1}), room.now);
  room.control.answer();
  CHECK_EQ(room.control.count("forward-add"), 3);
  CHECK_EQ(room.sent.size(), 5);
}

TEST_CASE("map: all ports of a host are given up at once, those of its own nonce") {
  Room room;
  room.ask(message_of({.internal = 1}));
  room.ask(message_of({.protocol = 6, .internal = 2}));
  room.ask(message_of({.protocol = 6, .internal = 3, .nonce = 2}));
  CHECK_EQ(result_in(room.ask(message_of({.lifetime = 0, .protocol = 6, .internal = 0}))),
           Result::success);
  CHECK_EQ(room.control.forwards.size(), 2);
  CHECK_EQ(result_in(room.ask(message_of({.lifetime = 0, .protocol = 0, .internal = 0}))),
           Result::success);
  CHECK_EQ(room.control.forwards.size(), 1);
  CHECK_EQ(result_in(room.ask(message_of({.lifetime = 0, .protocol = 0, .internal = 0}))),
           Result::not_authorized);
}

TEST_CASE("map: what has no meaning is refused by its name") {
  Room room;
  CHECK_EQ(result_in(room.ask(message_of({.protocol = 0}))), Result::malformed_request);
  CHECK_EQ(result_in(room.ask(message_of({.protocol = 0, .internal = 0}))),
           Result::unsupp_protocol);
  CHECK_EQ(result_in(room.ask(message_of({.internal = 0}))), Result::unsupp_protocol);
  const Octets sctp = room.ask(message_of({.protocol = 132}));
  CHECK_EQ(result_in(sctp), Result::unsupp_protocol);
  CHECK_EQ(lifetime_in(sctp), 1800);
  const Octets third =
      joined({octets("01 00 0010"), octets("00000000 00000000 0000ffff 0a000009")});
  CHECK_EQ(result_in(room.ask(message_of({.options = third}))), Result::unsupp_option);
  CHECK_EQ(result_in(room.ask(message_of({}), "blue", {3, endpoint("10.0.0.9:1"), {}})),
           Result::address_mismatch);
  CHECK_EQ(room.control.count("forward-add"), 0);
}

// --- PEER

const Map peer{.internal = 5000, .remote = endpoint("198.51.100.7:7000")};

TEST_CASE("peer: a session is kept until its time is over") {
  Room room;
  rules::Config config = config_of_two();
  config.policy.timeouts.udp = std::chrono::seconds(90);
  room.book->set_config(config);
  const Octets answer = room.ask(message_of(peer));
  CHECK_EQ(result_in(answer), Result::success);
  CHECK_EQ(external_in(answer), "203.0.113.1:50000");
  CHECK_EQ(answer.size(), 80);
  room.travel(310);
  CHECK_EQ(room.control.count("session-keep"), 11);
  // A renewal does not make it be asked for twice.
  room.ask(message_of(peer));
  room.travel(300);
  CHECK_EQ(room.control.count("session-keep"), 22);
  room.travel(3600);
  const std::size_t kept = room.control.count("session-keep");
  room.travel(600);
  CHECK_EQ(room.control.count("session-keep"), kept);
}

TEST_CASE("peer: it is given up with its nonce") {
  Room room;
  room.ask(message_of(peer));
  Map other = peer;
  other.nonce = 2;
  CHECK_EQ(result_in(room.ask(message_of(other))), Result::not_authorized);
  Map over = peer;
  over.lifetime = 0;
  CHECK_EQ(lifetime_in(room.ask(message_of(over))), 0);
  room.travel(600);
  CHECK_EQ(room.control.count("session-keep"), 1);
}

TEST_CASE("peer: why there is no session is told") {
  Room room;
  room.control.reason = "dropped_by_rule";
  CHECK_EQ(result_in(room.ask(message_of(peer))), Result::not_authorized);
  room.control.reason = "session_limit";
  CHECK_EQ(result_in(room.ask(message_of(peer))), Result::user_ex_quota);
  room.control.reason = "no_free_port";
  CHECK_EQ(result_in(room.ask(message_of(peer))), Result::no_resources);
  room.control.reason.clear();
  Map other = peer;
  other.suggested = endpoint("203.0.113.1:50001");
  CHECK_EQ(result_in(room.ask(message_of(other))), Result::cannot_provide_external);
  other.suggested = endpoint("203.0.113.1:50000");
  CHECK_EQ(result_in(room.ask(message_of(other))), Result::success);
  Map portless = peer;
  portless.internal = 0;
  CHECK_EQ(result_in(room.ask(message_of(portless))), Result::malformed_request);
  Map any = peer;
  any.protocol = 0;
  CHECK_EQ(result_in(room.ask(message_of(any))), Result::unsupp_protocol);
}

TEST_CASE("peer: a session that was lost and is another begins a new epoch") {
  Room room;
  room.ask(message_of(peer));
  const std::uint32_t losses = room.book->losses();
  room.control.kept_at = "203.0.113.1:50009";
  room.travel(200);
  CHECK_EQ(room.book->losses(), losses + 1);
  CHECK_LT(epoch_in(room.ask(header_of_announce)), 200);
}

// --- NAT-PMP

TEST_CASE("nat-pmp: the address, a port, and its end") {
  Room room;
  room.travel(5);
  CHECK_EQ(room.ask(octets("00 00")), octets("00 80 0000 00000005 cb007101"));
  CHECK_EQ(room.ask(octets("00 02 0000 0050 9c4a 00000e10")),
           octets("00 82 0000 00000005 0050 9c4a 00000e10"));
  CHECK_EQ(room.control.forwards.at("blue tcp 10.0.0.2:80")["external"], "203.0.113.1:40010");
  CHECK_EQ(room.control.forwards.at("blue tcp 10.0.0.2:80")["note"], "nat-pmp");
  // No longer than it is wanted.
  CHECK_EQ(read_32(room.ask(octets("00 02 0000 0051 0000 00000009")), 12), 9);
  CHECK_EQ(room.ask(octets("00 02 0000 0050 0000 00000000")),
           octets("00 82 0000 00000005 0050 0000 00000000"));
  CHECK_EQ(room.control.forwards.size(), 1);
}

TEST_CASE("nat-pmp: all of one protocol are given up at once") {
  Room room;
  room.ask(octets("00 01 0000 0050 0000 00000e10"));
  room.ask(octets("00 02 0000 0050 0000 00000e10"));
  room.ask(octets("00 02 0000 0051 0000 00000e10"));
  CHECK_EQ(room.ask(octets("00 02 0000 0000 0000 00000000")),
           octets("00 82 0000 00000000 0000 0000 00000000"));
  CHECK_EQ(room.control.forwards.size(), 1);
  CHECK_EQ(read_16(room.ask(octets("00 02 0000 0000 0000 00000e10")), 2), 2);
}

TEST_CASE("nat-pmp: refusals") {
  Room room;
  CHECK_EQ(room.ask(octets("00 09")), octets("00 89 0005 00000000"));
  room.control.refusal = "no port is free";
  CHECK_EQ(room.ask(octets("00 01 0000 0050 0000 00000e10")),
           octets("00 81 0004 00000000 0050 0000 00000000"));
  // It is of IPv4 alone.
  const Origin v6{3, endpoint("[fd00::2]:1"), address("fd00::1")};
  CHECK_EQ(room.ask(octets("00 00"), "blue", v6)[3], std::uint8_t(Result::unsupp_version));
}

// --- floods, and a daemon that is away

TEST_CASE("a tenant that asks too often is not answered, and others are") {
  Room room;
  for (int i = 0; i < 1000; ++i) {
    room.server->receive("blue", blue_host, header_of_announce, room.now);
  }
  CHECK_EQ(room.sent.size(), Server::requests_at_once);
  CHECK(room.ask(header_of_announce).empty());
  CHECK_EQ(result_in(room.ask(header_of_announce, "green", green_host)), Result::success);
  room.now += Seconds(1);
  CHECK_EQ(result_in(room.ask(header_of_announce)), Result::success);
}

TEST_CASE("without the daemon nobody is answered, and nothing is left under way") {
  Room room;
  room.control.is_away = true;
  CHECK(room.ask(message_of({})).empty());
  room.control.is_away = false;
  room.control.is_full = true;
  CHECK(room.ask(message_of({})).empty());
  room.control.is_full = false;
  CHECK_EQ(result_in(room.ask(message_of({}))), Result::success);
}

TEST_CASE("nobody is answered before it is known what the daemon has") {
  Room room;
  room.book.emplace(room.control, Json(nullptr), room.now);
  room.server.emplace(*room.book, room);
  CHECK(room.ask(header_of_announce).empty());
}

// --- the epoch

TEST_CASE("epoch: what the daemon has is known again, with its nonces") {
  FakeControl control;
  control.forwards["blue udp 10.0.0.2:5000"] = {{"namespace", "blue"},
                                                {"protocol", "udp"},
                                                {"to", "10.0.0.2:5000"},
                                                {"owner", "pcp"},
                                                {"lifetime_left", 900.5},
                                                {"external", "203.0.113.1:40000"},
                                                {"note", "pcp 010101010101010101010101"}};
  const Json saved = {{"epoch_start", 400},
                      {"entries",
                       {{{"namespace", "blue"},
                         {"protocol", "udp"},
                         {"to", "10.0.0.2:5000"},
                         {"remote", ""},
                         {"note", "pcp 010101010101010101010101"},
                         {"external", "203.0.113.1:40000"},
                         {"until", 1900}},
                        {{"namespace", "blue"},
                         {"protocol", "udp"},
                         {"to", "10.0.0.2:5000"},
                         {"remote", "198.51.100.7:7000"},
                         {"note", "pcp 010101010101010101010101"},
                         {"external", "203.0.113.1:50000"},
                         {"until", 1900}}}}};
  Room room;
  room.control.forwards = control.forwards;
  room.book.emplace(room.control, saved, Seconds(1000));
  room.book->set_config(config_of_two());
  room.server.emplace(*room.book, room);
  room.now = Seconds(1000);
  room.travel(2);
  CHECK_EQ(room.book->losses(), 0);
  CHECK_EQ(epoch_in(room.ask(header_of_announce)), 602);
  CHECK_EQ(result_in(room.ask(message_of({.nonce = 2}))), Result::not_authorized);
  CHECK_EQ(result_in(room.ask(message_of({.lifetime = 0}))), Result::success);
  // The session goes on being kept.
  CHECK_GE(room.control.count("session-keep"), 1);
}

TEST_CASE("epoch: it begins anew when a daemon that was started again has lost something") {
  Room room;
  room.ask(message_of({}));
  room.travel(100);
  CHECK_EQ(epoch_in(room.ask(header_of_announce)), 100);
  const std::uint32_t losses = room.book->losses();
  // Another process that has all.
  room.control.pid = 200;
  room.travel(10);
  CHECK_EQ(epoch_in(room.ask(header_of_announce)), 110);
  room.control.pid = 300;
  room.control.forwards.clear();
  room.travel(10);
  CHECK_EQ(room.book->losses(), losses + 1);
  CHECK_LT(epoch_in(room.ask(header_of_announce)), 10);
  // What was lost is anybody's again.
  CHECK_EQ(result_in(room.ask(message_of({.nonce = 2}))), Result::success);
}

TEST_CASE("epoch: a book that is damaged is none") {
  for (const char* text : {"null", "[]", "{}", R"({"epoch_start":"x","entries":3})",
                           R"({"epoch_start":99999999,"entries":[1,{"to":"x"},{"external":7}]})"}) {
    CAPTURE(text);
    Room room(Json::parse(text));
    CHECK_LE(epoch_in(room.ask(header_of_announce)), 1000);
    CHECK_EQ(result_in(room.ask(message_of({}))), Result::success);
  }
}
