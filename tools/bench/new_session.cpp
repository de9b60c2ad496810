// Packets that make a session, in tables of several sizes, and the first answers to these.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/session/session.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

constexpr std::uint32_t chunk = 128;

// The addresses of remotes that the scene does not have.
constexpr std::uint32_t fresh_remotes = 96u << 24;

// As the table grew up to here: every other session has a mapping of its own, and every other one
// joins the mapping of a session that is there, whichever.
class Growth {
 public:
  explicit Growth(Scene<Ipv4>& scene) : scene_(scene), random_(1), buffer_(chunk) {}

  double measure(std::uint32_t count) {
    draw(count);
    return time(Direction::outbound, tcp_flag::syn, [&](std::size_t first) {
      expected_ += chunk;
      for (std::size_t i = 0; i < chunk; ++i) {
        drawn_[first + i].external = source_of<Ipv4>(buffer_.packets()[i]);
      }
    });
  }

  // Of the answers to those that measure() made last, in any order.
  double measure_answers() {
    for (std::size_t left = drawn_.size(); left > 1; --left) {
      std::swap(drawn_[left - 1], drawn_[random_.below(static_cast<std::uint32_t>(left))]);
    }
    return time(Direction::inbound, tcp_flag::syn | tcp_flag::ack, [](std::size_t) {});
  }

 private:
  // One packet for each of those drawn.
  template <class Done>
  double time(Direction direction, std::uint8_t tcp_flags, Done&& done) {
    Time now{};
    std::size_t in_buffer = 0;
    return time_in_chunks(
        drawn_.size(), chunk,
        [&](std::size_t first) {
          now = scene_.next_tick();
          in_buffer = first;
          for (std::size_t i = 0; i < chunk; ++i) {
            buffer_.write(i, drawn_[first + i], scene_.options().protocol, direction, tcp_flags);
          }
        },
        [&] { translate_in_batches(scene_.engine(), buffer_.packets(), now); },
        [&] {
          require_accepted(buffer_.packets());
          done(in_buffer);
          require_sessions(scene_.engine(), expected_);
        });
  }

  // Beforehand, so that looking them up is not what fills the caches.
  void draw(std::uint32_t count) {
    const std::span flows = scene_.flows();
    drawn_.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t number = made_before_ + i;
      if (i % 2 == 0) {
        drawn_.push_back(scene_.flow(flows.size() + std::uint64_t{number} * remotes_per_endpoint));
      } else {
        Flow<Ipv4> flow = random_.one_of(flows);
        flow.remote.address = Ipv4Address::from_host(fresh_remotes + number);
        drawn_.push_back(flow);
      }
    }
    made_before_ += count;
    expected_ = scene_.engine().session_count();
  }

  Scene<Ipv4>& scene_;
  SplitMix random_;
  PacketBuffer buffer_;
  std::vector<Flow<Ipv4>> drawn_;
  std::uint32_t made_before_ = 0;
  std::uint64_t expected_ = 0;
};

Row row_of(std::string_view group, std::uint8_t protocol, std::uint32_t sessions) {
  return {.name = std::string(group) + (protocol == protocol::tcp ? "/tcp/ipv4" : "/udp/ipv4"),
          .sessions = sessions};
}

// A large table has room for the new ones of all rounds.
Rows at_size(const Effort& effort, std::uint8_t protocol, std::uint32_t sessions) {
  const std::uint32_t count = std::clamp(sessions / 64 / chunk * chunk, chunk, 16'384u);
  const auto rounds = static_cast<std::uint32_t>(effort.rounds);
  Scene<Ipv4> scene({.sessions = sessions,
                     .capacity = sessions + rounds * count,
                     .protocol = protocol,
                     .populate = true});
  Growth growth(scene);
  Floor floor(sessions, sizeof(Session<Ipv4>));
  return in_rounds(
      effort, [&] { return floor.measure(effort.packets); },
      {{row_of("new-session", protocol, sessions), [&] { return growth.measure(count); }},
       {row_of("first-answer", protocol, sessions), [&] { return growth.measure_answers(); }}});
}

// A small one would soon be twice as large: it begins anew for each measurement, several times.
Rows at_small_size(const Effort& effort, std::uint8_t protocol, std::uint32_t sessions) {
  constexpr std::uint32_t count = 9 * chunk;
  constexpr int times = 3;
  Floor floor(sessions, sizeof(Session<Ipv4>));
  const auto measure = [&] {
    double sum = 0;
    for (int i = 0; i < times; ++i) {
      Scene<Ipv4> scene({.sessions = sessions,
                         .capacity = sessions + count,
                         .protocol = protocol,
                         .populate = true});
      sum += Growth(scene).measure(count);
    }
    return sum / times;
  };
  return in_rounds(effort, [&] { return floor.measure(effort.packets); },
                   {{row_of("new-session", protocol, sessions), measure}});
}

}  // namespace

Rows new_session(const Effort& effort) {
  Rows rows;
  for (const std::uint8_t protocol : {protocol::udp, protocol::tcp}) {
    std::ranges::move(at_small_size(effort, protocol, 10'000), std::back_inserter(rows));
    for (const std::uint32_t sessions : {1'000'000u, 4'000'000u}) {
      if (effort.is_quick && sessions > 1'000'000) continue;
      std::ranges::move(at_size(effort, protocol, sessions), std::back_inserter(rows));
    }
  }
  return rows;
}

}  // namespace swnat::bench
