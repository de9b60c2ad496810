// The metrics by HTTP: real connections, clients of every kind.
#include "nfq/metrics_server.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "nfq/error.h"
#include "nfq/file_descriptor.h"
#include "swnat/address_text.h"
#include "tests/support/event_turns.h"
#include "tests/support/small_metrics.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;

namespace {

class Site {
 public:
  explicit Site(const char* where = "127.0.0.1",
                std::chrono::milliseconds life = MetricsServer::longest_life) {
    const IpEndpoint endpoint{parse_address(where).value(), 0};
    const auto make = [this] {
      ++made;
      return small_metrics(gateway);
    };
    server_ = std::make_unique<MetricsServer>(loop.get(), endpoint, make, life);
  }
  std::uint16_t port() const { return server_->port(); }

  EventTurns loop;
  Gateway gateway;
  int made = 0;

 private:
  std::unique_ptr<MetricsServer> server_;
};

class Browser {
 public:
  explicit Browser(Site& site, const char* from = "127.0.0.1")
      : site_(site), fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in own = address(from, 0);
    REQUIRE_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&own), sizeof own), 0);
    sockaddr_in to = address("127.0.0.1", site.port());
    REQUIRE_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }

  void send(const std::string& request) {
    REQUIRE_EQ(::send(fd_.get(), request.data(), request.size(), MSG_NOSIGNAL),
               static_cast<ssize_t>(request.size()));
  }
  // Takes what has come; true when the server has closed.
  bool receive() {
    std::array<char, 65536> bytes;
    const ssize_t size = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size > 0) text.append(bytes.data(), static_cast<std::size_t>(size));
    return size == 0 || (size < 0 && errno == ECONNRESET);
  }
  // The whole answer.
  const std::string& ask(const std::string& request) {
    send(request);
    site_.loop.turn_until([this] { return receive(); });
    return text;
  }

  std::string text;

 private:
  static sockaddr_in address(const char* host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, host, &address.sin_addr);
    return address;
  }

  Site& site_;
  FileDescriptor fd_;
};

std::string get(const std::string& path, const std::string& method = "GET") {
  return method + " " + path + " HTTP/1.0\r\nHost: gateway\r\n\r\n";
}

std::string body_of(const std::string& answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  REQUIRE_NE(end, std::string::npos);
  return answer.substr(end + 4);
}

}  // namespace

TEST_CASE("metrics by HTTP: GET /metrics has all of them, and the connection is closed") {
  Site site;
  site.gateway.open(protocol::udp, blue, client, server);
  Browser browser(site);
  const std::string& answer = browser.ask(get("/metrics"));
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK_NE(answer.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"),
           std::string::npos);
  CHECK_EQ(body_of(answer), text_of(small_metrics(site.gateway)));
  CHECK(Browser(site).ask(get("/metrics?name=x")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("metrics by HTTP: other paths are not found, other methods not allowed") {
  Site site;
  for (const char* path : {"/", "/metrics/", "//metrics", "/Metrics", "/../metrics"}) {
    CAPTURE(path);
    CHECK(Browser(site).ask(get(path)).starts_with("HTTP/1.1 404 "));
  }
  for (const char* method : {"POST", "HEAD", "PUT", "DELETE", "OPTIONS", "NONSENSE"}) {
    CAPTURE(method);
    Browser browser(site);
    const std::string& answer = browser.ask(get("/metrics", method));
    CHECK(answer.starts_with("HTTP/1.1 405 "));
    CHECK_NE(answer.find("Allow: GET\r\n"), std::string::npos);
  }
  CHECK_EQ(site.made, 0);
}

TEST_CASE("metrics by HTTP: nonsense is refused, and others are served") {
  Site site;
  CHECK_FALSE(
      Browser(site).ask("\xff\xfe nonsense NONSENSE/9\r\n\r\n").starts_with("HTTP/1.1 200 "));
  CHECK_FALSE(Browser(site)
                  .ask("GET /metrics HTTP/1.1\r\nX: " + std::string(100'000, 'x'))
                  .starts_with("HTTP/1.1 200 "));
  { const Browser gone(site); }
  Browser half(site);
  half.send("GET /met");
  CHECK(Browser(site).ask(get("/metrics")).starts_with("HTTP/1.1 200 "));
  CHECK(half.ask("rics HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

TEST_CASE("metrics by HTTP: silent connections from one address leave room for another address") {
  Site site;
  std::vector<std::unique_ptr<Browser>> silent;
  for (unsigned i = 0; i < MetricsServer::max_connections; ++i) {
    silent.push_back(std::make_unique<Browser>(site, "127.0.0.2"));
    site.loop.turn();
  }
  CHECK(Browser(site).ask(get("/metrics")).starts_with("HTTP/1.1 200 "));
}

TEST_CASE("metrics by HTTP: who waits at the limit is served when another goes") {
  Site site;
  std::vector<std::unique_ptr<Browser>> silent;
  for (unsigned i = 0; i < MetricsServer::max_connections; ++i) {
    const std::string from = "127.0.0." + std::to_string(10 + i);
    silent.push_back(std::make_unique<Browser>(site, from.c_str()));
    site.loop.turn();
  }
  Browser late(site);
  late.send(get("/metrics"));
  for (int i = 0; i < 100; ++i) site.loop.turn();
  CHECK_FALSE(late.receive());
  silent.pop_back();
  site.loop.turn_until([&] { return late.receive(); });
  CHECK(late.text.starts_with("HTTP/1.1 200 "));
}

TEST_CASE("metrics by HTTP: who sends a byte now and then has to end some time") {
  Site site("127.0.0.1", std::chrono::milliseconds(20));
  Browser slow(site);
  slow.send("GET /metrics HTTP/1.0\r\nX: ");
  int turns = 0;
  site.loop.turn_until([&] {
    if (slow.receive()) return true;
    if (++turns % 100 == 0) slow.send("x");
    return false;
  });
  CHECK_EQ(slow.text, "");
}

TEST_CASE("metrics by HTTP: a port in use is told with the address") {
  const Site first;
  EventTurns loop;
  Gateway gateway;
  const IpEndpoint taken{parse_address("127.0.0.1").value(), first.port()};
  try {
    const MetricsServer second(loop.get(), taken, [&] { return small_metrics(gateway); });
    FAIL("two servers have one port");
  } catch (const Error& error) {
    CHECK_EQ(std::string(error.what()), "metrics.listen 127.0.0.1:" + std::to_string(first.port()) +
                                            ": Address already in use");
  }
}

TEST_CASE("metrics by HTTP: IPv6") {
  const FileDescriptor probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 own{};
  own.sin6_family = AF_INET6;
  own.sin6_addr = in6addr_loopback;
  if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) {
    MESSAGE("skipped: there is no IPv6");
    return;
  }
  const Site site("::1");
  CHECK_NE(site.port(), 0);
}
