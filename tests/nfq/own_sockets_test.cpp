#include "nfq/own_sockets.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nfq/file_descriptor.h"
#include "tests/support/packets.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

// Real sockets of this host, whose own loopback address is external here.
constexpr Ipv4Address loopback = Ipv4Address::of(127, 0, 0, 1);
constexpr PortRange range{20'000, 31'000};

std::shared_ptr<const Policy> some_policy() {
  Policy policy;
  policy.external.v4 = {loopback};
  policy.ports = range;
  policy.namespaces = {{.first = 1, .last = 1}};
  return std::make_shared<const Policy>(policy);
}

FileDescriptor bound(int family, int type, const char* address, std::uint16_t port) {
  FileDescriptor socket(::socket(family, type | SOCK_CLOEXEC, 0));
  sockaddr_storage own{};
  socklen_t size = sizeof(sockaddr_in);
  if (family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(own);
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    ::inet_pton(AF_INET, address, &in.sin_addr);
  } else {
    auto& in = reinterpret_cast<sockaddr_in6&>(own);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    ::inet_pton(AF_INET6, address, &in.sin6_addr);
    size = sizeof(sockaddr_in6);
  }
  REQUIRE_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), size), 0);
  if (type == SOCK_STREAM) REQUIRE_EQ(::listen(socket.get(), 1), 0);
  return socket;
}

// Whether a tenant that has this port itself gets it.
bool is_kept(Engine& engine, std::uint8_t protocol, std::uint16_t port) {
  Bytes packet = opening(protocol, {Host::of(10, 0, 0, 2), port}, {Host::of(192, 0, 2, 1), 80});
  REQUIRE_EQ(engine.outbound(packet, 1, Time(1000)).reason, Reason::translated_outbound);
  return source_port_of(packet) == port;
}

}  // namespace

TEST_CASE("the ports of this host's own sockets are withheld while they exist") {
  for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
    const std::uint8_t protocol = type == SOCK_DGRAM ? 17 : 6;
    Engine engine({.max_sessions = 1024, .secret = {1, 2, 3, 4}}, some_policy());
    OwnSockets sockets({loopback}, range);
    FileDescriptor all = bound(AF_INET, type, "0.0.0.0", 23'457);
    const FileDescriptor external = bound(AF_INET, type, "127.0.0.1", 23'458);
    const FileDescriptor other = bound(AF_INET, type, "127.0.0.2", 23'459);
    const FileDescriptor both = bound(AF_INET6, type, "::", 23'460);
    const FileDescriptor mapped = bound(AF_INET6, type, "::ffff:127.0.0.1", 23'461);
    CHECK_EQ(sockets.update(engine), "");
    CHECK_FALSE(is_kept(engine, protocol, 23'457));
    CHECK_FALSE(is_kept(engine, protocol, 23'458));
    CHECK(is_kept(engine, protocol, 23'459));
    CHECK_FALSE(is_kept(engine, protocol, 23'460));
    CHECK_FALSE(is_kept(engine, protocol, 23'461));
    CHECK(is_kept(engine, protocol == 6 ? std::uint8_t{17} : std::uint8_t{6}, 23'458));
    all = FileDescriptor();
    CHECK_EQ(sockets.update(engine), "");
    Engine fresh({.max_sessions = 1024, .secret = {1, 2, 3, 4}}, some_policy());
    OwnSockets again({loopback}, range);
    CHECK_EQ(again.update(fresh), "");
    CHECK(is_kept(fresh, protocol, 23'457));
  }
}
