// Packets of established sessions: the case that speed is about.
#include <algorithm>
#include <string>

#include "engine/session/session.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

// Packets that are written before they are timed, as the kernel has just written those that a
// queue hands out.
constexpr std::size_t written_at_once = 1024;

enum class Way { outbound, inbound, mixed };

struct Kind {
  const char* way_name;
  Way way;
  std::size_t batch;
};
constexpr Kind kinds[] = {
    {"outbound", Way::outbound, 32}, {"inbound", Way::inbound, 32}, {"mixed", Way::mixed, 32},
    {"outbound", Way::outbound, 1},  {"inbound", Way::inbound, 1},  {"mixed", Way::mixed, 1},
};

template <class Family>
class Traffic {
 public:
  explicit Traffic(Scene<Family>& scene)
      : scene_(scene), random_(scene.options().sessions), buffer_(written_at_once) {}

  // Nanoseconds for each of `count` packets of random sessions.
  double measure(const Kind& kind, std::uint32_t count) {
    draw(count);
    Time now{};
    return time_in_chunks(
        count, written_at_once,
        [&](std::size_t first) {
          write(first, kind.way);
          now = scene_.next_tick();
        },
        [&] {
          for (std::size_t i = 0; i < written_at_once; i += kind.batch) {
            scene_.engine().translate(buffer_.packets().subspan(i, kind.batch), now);
          }
        },
        [&] { require_accepted(buffer_.packets()); });
  }

 private:
  // Beforehand, so that looking them up is not what fills the caches.
  void draw(std::uint32_t count) {
    drawn_.clear();
    for (std::uint32_t i = 0; i < count; ++i) drawn_.push_back(random_.one_of(scene_.flows()));
  }

  void write(std::size_t first, Way way) {
    for (std::size_t i = 0; i < written_at_once; ++i) {
      const bool is_inbound = way == Way::inbound || (way == Way::mixed && i % 2 != 0);
      buffer_.write(i, drawn_[first + i], scene_.options().protocol,
                    is_inbound ? Direction::inbound : Direction::outbound, tcp_flag::ack);
    }
  }

  Scene<Family>& scene_;
  SplitMix random_;
  PacketBuffer buffer_;
  std::vector<Flow<Family>> drawn_;
};

template <class Family>
Rows at_size(const Effort& effort, std::uint8_t protocol, std::uint32_t sessions) {
  Scene<Family> scene({.sessions = sessions, .protocol = protocol});
  Floor floor(sessions, sizeof(Session<Family>));
  Traffic<Family> traffic(scene);
  std::vector<Subject> subjects;
  for (const Kind& kind : kinds) {
    const std::string name = std::string("established/") +
                             (protocol == protocol::tcp ? "tcp" : "udp") +
                             (Family::version == 4 ? "/ipv4/" : "/ipv6/") + kind.way_name +
                             (kind.batch == 1 ? "/one" : "/batch");
    subjects.push_back(
        {{.name = name, .sessions = sessions, .bytes_per_session = scene.bytes_per_session()},
         [&traffic, &effort, kind] { return traffic.measure(kind, effort.packets); }});
  }
  return in_rounds(
      effort, [&] { return floor.measure(effort.packets); }, std::move(subjects));
}

}  // namespace

Rows established(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u, 4'000'000u}) {
    if (effort.is_quick && sessions > 1'000'000) continue;
    for (const std::uint8_t protocol : {protocol::udp, protocol::tcp}) {
      std::ranges::move(at_size<Ipv4>(effort, protocol, sessions), std::back_inserter(rows));
      std::ranges::move(at_size<Ipv6>(effort, protocol, sessions), std::back_inserter(rows));
    }
  }
  return rows;
}

}  // namespace swnat::bench
