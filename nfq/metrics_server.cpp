#include "nfq/metrics_server.h"

#include <fmt/format.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/file_descriptor.h"
#include "nfq/prometheus_text.h"
#include "swnat/address_text.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t block_size = 32 << 10;

[[noreturn]] void fail(const IpEndpoint& where, std::string_view what) {
  throw Error(fmt::format("metrics.listen {}: {}", to_text(where), what));
}

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t size = 0;

  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&bytes); }
};

SocketAddress socket_address(const IpEndpoint& where) {
  SocketAddress address;
  if (const auto* v4 = std::get_if<Ipv4Address>(&where.address)) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(where.port);
    in.sin_addr.s_addr = v4->wire;
    std::memcpy(&address.bytes, &in, address.size = sizeof in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(where.port);
    const auto octets = std::get<Ipv6Address>(where.address).octets();
    std::memcpy(&in.sin6_addr, octets.data(), octets.size());
    std::memcpy(&address.bytes, &in, address.size = sizeof in);
  }
  return address;
}

FileDescriptor listen_at(const IpEndpoint& where) {
  SocketAddress address = socket_address(where);
  const int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  FileDescriptor socket(::socket(address.bytes.ss_family, type, 0));
  if (!socket) fail(where, std::strerror(errno));
  const int on = 1;  // connections of an earlier daemon's are no hindrance
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), address.generic(), address.size) != 0 ||
      ::listen(socket.get(), MetricsServer::max_connections) != 0) {
    fail(where, std::strerror(errno));
  }
  return socket;
}

std::uint16_t port_of(int socket) {
  SocketAddress address;
  address.size = sizeof address.bytes;
  if (::getsockname(socket, address.generic(), &address.size) != 0) return 0;
  // It lies at the same place in both families' addresses.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&address.bytes)->sin_port);
}

// An answer that is being made.
struct Body {
  explicit Body(Metrics made) : metrics(std::move(made)) {}

  Metrics metrics;
  std::string text;
  std::size_t taken = 0;
  bool is_last = false;
};

ssize_t read_body(void* self, std::uint64_t, char* to, std::size_t room) {
  auto& body = *static_cast<Body*>(self);
  try {
    if (body.taken == body.text.size()) {
      if (body.is_last) return MHD_CONTENT_READER_END_OF_STREAM;
      body.text.clear();
      body.taken = 0;
      body.is_last = !body.metrics.append_piece(body.text);
    }
  } catch (const std::exception&) {
    return MHD_CONTENT_READER_END_WITH_ERROR;  // not enough memory for this client
  }
  const std::size_t size = body.text.copy(to, room, body.taken);
  body.taken += size;
  return static_cast<ssize_t>(size);
}

void free_body(void* self) {
  delete static_cast<Body*>(self);
}

struct Release {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using Response = std::unique_ptr<MHD_Response, Release>;

void set_header(const Response& response, const char* name, std::string_view value) {
  MHD_add_response_header(response.get(), name, std::string(value).c_str());
}

MHD_Result answer(MHD_Connection* connection, unsigned status, const Response& response) {
  if (!response) return MHD_NO;
  set_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  return MHD_queue_response(connection, status, response.get());
}

MHD_Result answer_with_metrics(MHD_Connection* connection, const MakeMetrics& make) {
  auto body = std::make_unique<Body>(make());
  const Response response(MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, block_size, read_body,
                                                            body.get(), free_body));
  if (response) static_cast<void>(body.release());  // it is the response's from now on
  if (response) set_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, prometheus_media_type);
  return answer(connection, MHD_HTTP_OK, response);
}

MHD_Result refuse(MHD_Connection* connection, unsigned status, std::string text) {
  const Response response(
      MHD_create_response_from_buffer(text.size(), text.data(), MHD_RESPMEM_MUST_COPY));
  if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED) {
    set_header(response, MHD_HTTP_HEADER_ALLOW, MHD_HTTP_METHOD_GET);
  }
  return answer(connection, status, response);
}

MHD_Result on_request(void* make, MHD_Connection* connection, const char* path, const char* method,
                      const char*, const char*, std::size_t*, void**) {
  try {
    if (std::string_view(path) != "/metrics") {
      return refuse(connection, MHD_HTTP_NOT_FOUND, "there is /metrics only\n");
    }
    if (std::string_view(method) != MHD_HTTP_METHOD_GET) {
      return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET is allowed\n");
    }
    return answer_with_metrics(connection, *static_cast<const MakeMetrics*>(make));
  } catch (const std::exception&) {
    return MHD_NO;  // not enough memory for this client
  }
}

template <class Lives>
void note_connection(void* self, MHD_Connection* connection, void**,
                     MHD_ConnectionNotificationCode what) {
  auto& lives = *static_cast<Lives*>(self);
  const bool begins = what == MHD_CONNECTION_NOTIFY_STARTED;
  for (auto& life : lives.all) {
    if (life.connection != (begins ? nullptr : connection)) continue;
    life = {};
    if (begins) life = {connection, now() + lives.longest};
    return;
  }
}

}  // namespace

MetricsServer::MetricsServer(sd_event* loop, const IpEndpoint& where, MakeMetrics make,
                             std::chrono::milliseconds life)
    : make_(std::move(make)), lives_{life} {
  start(where);
  watch(loop);
}

void MetricsServer::Stop::operator()(MHD_Daemon* daemon) const {
  MHD_stop_daemon(daemon);
}

void MetricsServer::start(const IpEndpoint& where) {
  FileDescriptor socket = listen_at(where);
  port_ = port_of(socket.get());
  // The library closes the socket, but not where it does not start.
  daemon_.reset(MHD_start_daemon(
      MHD_USE_EPOLL, 0, nullptr, nullptr, on_request, &make_, MHD_OPTION_LISTEN_SOCKET,
      socket.get(), MHD_OPTION_CONNECTION_LIMIT, max_connections,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, max_of_address, MHD_OPTION_CONNECTION_TIMEOUT,
      idle_seconds, MHD_OPTION_NOTIFY_CONNECTION, note_connection<Lives>, &lives_, MHD_OPTION_END));
  if (!daemon_) fail(where, "the HTTP server does not start");
  socket.release();
}

void MetricsServer::watch(sd_event* loop) {
  const auto require = [](int result) {
    if (result < 0) throw Error(fmt::format("metrics.listen: {}", std::strerror(-result)));
  };
  const int epoll = MHD_get_daemon_info(daemon_.get(), MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  sd_event_source* source = nullptr;
  require(sd_event_add_io(loop, &source, epoll, EPOLLIN, on_ready, this));
  readiness_.reset(source);
  require(sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, 0, timer_accuracy, on_timeout,
                                     this));
  timeout_.reset(source);
}

int MetricsServer::on_ready(sd_event_source*, int, std::uint32_t, void* self) {
  static_cast<MetricsServer*>(self)->run();
  return 0;
}

int MetricsServer::on_timeout(sd_event_source*, std::uint64_t, void* self) {
  static_cast<MetricsServer*>(self)->run();
  return 0;
}

unsigned MetricsServer::connections() const {
  return MHD_get_daemon_info(daemon_.get(), MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

// The library itself counts only the time in which nothing comes and goes. What is shut down, it
// closes.
void MetricsServer::end_old() {
  const Time time = now();
  for (Life& life : lives_.all) {
    if (life.connection == nullptr || time < life.end) continue;
    const auto* info = MHD_get_connection_info(life.connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    ::shutdown(info->connect_fd, SHUT_RDWR);
    life.end = Time::max();
  }
}

// Does one block of each answer, and comes back for the next.
void MetricsServer::run() {
  end_old();
  const unsigned before = connections();
  MHD_run(daemon_.get());
  // At its limit the library does not listen, and would not begin again before something happens.
  if (connections() < before) MHD_run(daemon_.get());
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  if (MHD_get_timeout(daemon_.get(), &milliseconds) != MHD_YES) {
    sd_event_source_set_enabled(timeout_.get(), SD_EVENT_OFF);
    return;
  }
  // While there are connections it is no longer than their idle time: those that take long are
  // seen then.
  sd_event_source_set_time_relative(timeout_.get(), milliseconds * 1000);
  sd_event_source_set_enabled(timeout_.get(), SD_EVENT_ONESHOT);
}

}  // namespace swnat::nfq
