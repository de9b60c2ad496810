// The metrics by HTTP, for Prometheus to scrape: GET /metrics, and nothing else.
//
// Theory of operation
//
// libmicrohttpd speaks HTTP and has no thread of its own: its files are in one epoll that the
// daemon's event loop watches, and its timeouts are a timer there. An answer is made piece by piece
// as the client takes it, so a scrape holds up nothing else. Each connection is closed after its
// answer. There are few, fewer from one address, one that stands still is closed, and so is one
// that takes long, so that clients that want to do harm keep out others for some seconds at most.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>

#include "nfq/event_loop.h"
#include "nfq/metrics.h"
#include "swnat/address.h"

struct MHD_Connection;
struct MHD_Daemon;

namespace swnat::nfq {

class MetricsServer {
 public:
  static constexpr unsigned max_connections = 16;
  static constexpr unsigned max_of_address = 4;
  static constexpr unsigned idle_seconds = 10;
  // Prometheus gives up after ten seconds, unless it is told otherwise.
  static constexpr std::chrono::seconds longest_life{30};

  // Throws Error, which names the address, as where something else listens there. Of port 0 the
  // kernel chooses one. Tests give another longest life.
  MetricsServer(sd_event* loop, const IpEndpoint& where, MakeMetrics make,
                std::chrono::milliseconds life = longest_life);
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  std::uint16_t port() const { return port_; }

 private:
  struct Stop {
    void operator()(MHD_Daemon* daemon) const;
  };

  // When the connections that there are must end.
  struct Life {
    MHD_Connection* connection = nullptr;
    Time end{0};
  };
  struct Lives {
    std::chrono::milliseconds longest;
    std::array<Life, max_connections> all = {};
  };

  static int on_ready(sd_event_source* source, int fd, std::uint32_t events, void* self);
  static int on_timeout(sd_event_source* source, std::uint64_t time, void* self);
  void start(const IpEndpoint& where);
  void watch(sd_event* loop);
  unsigned connections() const;
  void run();
  void end_old();

  MakeMetrics make_;
  Lives lives_;
  std::uint16_t port_ = 0;
  std::unique_ptr<MHD_Daemon, Stop> daemon_;
  EventSource readiness_;
  EventSource timeout_;
};

}  // namespace swnat::nfq
