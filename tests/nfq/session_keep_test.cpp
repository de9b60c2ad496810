// Which session a request to keep one means.
#include "nfq/session_keep.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "nfq/error.h"
#include "swnat/address_text.h"

using namespace swnat;
using namespace swnat::nfq;

namespace {

using Json = nlohmann::ordered_json;

const rules::Config& config() {
  static const rules::Config all = [] {
    rules::Config config;
    config.external_addresses = {*parse_address("203.0.113.1")};
    config.namespaces.resize(2);
    config.namespaces[0].name = "blue";
    config.namespaces[0].policy.first = config.namespaces[0].policy.last = 1;
    config.namespaces[0].subnets = {*parse_network("10.0.0.0/24")};
    config.namespaces[1].name = "vpn";
    config.namespaces[1].policy.first = 1000;
    config.namespaces[1].policy.last = 1009;
    config.singles_by_fwmark = {0};
    config.ranges_by_fwmark = {1};
    return config;
  }();
  return all;
}

Json request() {
  return {{"command", "session-keep"},
          {"namespace", "blue"},
          {"protocol", "udp"},
          {"internal", "10.0.0.2:5000"},
          {"remote", "198.51.100.7:7000"}};
}

// The refusal of a request that has this value instead.
std::string refusal(const char* key, const Json& value) {
  Json changed = request();
  changed[key] = value;
  try {
    requested_session(changed, config());
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

}  // namespace

TEST_CASE("session-keep: a session by its namespace, protocol and ends") {
  const SessionName name = requested_session(request(), config());
  CHECK_EQ(name.namespace_id, 1);
  CHECK_EQ(name.protocol, protocol::udp);
  CHECK_EQ(to_text(name.internal), "10.0.0.2:5000");
  CHECK_EQ(to_text(name.remote), "198.51.100.7:7000");
  Json other = request();
  other["namespace"] = "vpn-1003";
  other["protocol"] = "tcp";
  CHECK_EQ(requested_session(other, config()).namespace_id, 1003);
}

TEST_CASE("session-keep: what is no such request is refused with what is allowed") {
  CHECK_EQ(refusal("namespace", "vpn"),
           "'vpn' is several namespaces; one is meant, such as vpn-1000");
  CHECK_EQ(refusal("namespace", 7), "'namespace' is missing, or no text");
  CHECK_EQ(refusal("protocol", "icmp"),
           "'icmp' is no protocol of such sessions (allowed: tcp, udp)");
  CHECK_EQ(refusal("internal", "10.0.0.2"),
           "'10.0.0.2' is no endpoint (allowed: as in 10.0.0.2:5000 or [fd00::2]:5000)");
  CHECK_EQ(refusal("remote", "[2001:db8::1]:80"), "'internal' and 'remote' must be of one family");
}

TEST_CASE("session-keep: what no rule of the kernel's leads to the NAT is refused") {
  CHECK_EQ(refusal("internal", "10.0.1.2:80"), "10.0.1.2 is no address of the namespace");
  CHECK_EQ(refusal("remote", "10.0.0.9:80"), "10.0.0.9 is in the namespace itself");
  CHECK_EQ(refusal("remote", "203.0.113.1:80"),
           "203.0.113.1 is an external address of the NAT, whose sessions packets make");
}
