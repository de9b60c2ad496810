// Packets that make a session in a namespace that is at its limit, so that its least recently
// active session has to go. Between them other sessions are active: as many packets, or more.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "engine/session/session.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

constexpr std::uint32_t sessions = 100'000;
constexpr std::uint32_t chunk = 1024;
constexpr std::uint32_t chunks_per_listing = 16;

class FullNamespaces {
 public:
  // Before each chunk, `active_per_new` times as many packets of random sessions.
  FullNamespaces(std::uint32_t namespaces, std::uint32_t active_per_new)
      : scene_({.sessions = sessions,
                .namespaces = namespaces,
                .session_limit = sessions / namespaces}),
        active_per_new_(active_per_new),
        random_(namespaces),
        buffer_(chunk),
        made_(namespaces, sessions / namespaces) {}

  double measure(std::uint32_t count) {
    Time now{};
    return time_in_chunks(
        count, chunk,
        [&](std::size_t first) {
          if (first / chunk % chunks_per_listing == 0) views_ = all_sessions();
          for (std::uint32_t i = 0; i < active_per_new_; ++i) refresh();
          now = scene_.next_tick();
          for (std::size_t i = 0; i < chunk; ++i) {
            buffer_.write(i, fresh_flow(), protocol::udp, Direction::outbound, 0);
          }
        },
        [&] { translate_in_batches(scene_.engine(), buffer_.packets(), now); },
        [&] {
          require_accepted(buffer_.packets());
          require_sessions(scene_.engine(), sessions);
        });
  }

 private:
  // Of a random namespace. Every other one joins the mapping of the one before.
  Flow<Ipv4> fresh_flow() {
    const std::uint32_t namespaces = scene_.options().namespaces;
    constexpr std::uint32_t remotes = remotes_per_endpoint;
    const std::uint32_t chosen = random_.below(namespaces);
    const std::uint64_t made = made_[chosen]++;
    return scene_.flow((made / remotes * namespaces + chosen) * remotes + made % remotes);
  }

  // A chunk of random ones. The few that have gone since the listing are made again.
  void refresh() {
    for (std::size_t i = 0; i < chunk; ++i) {
      const SessionView& view = random_.one_of(views_);
      buffer_.write(i, flow_of(view), protocol::udp, Direction::outbound, 0);
    }
    translate_in_batches(scene_.engine(), buffer_.packets(), scene_.next_tick());
    require_accepted(buffer_.packets());
  }

  static Flow<Ipv4> flow_of(const SessionView& view) {
    const auto end = [](const IpEndpoint& any) {
      return Endpoint<Ipv4Address>{std::get<Ipv4Address>(any.address), any.port};
    };
    return {end(view.internal), end(view.external), end(view.remote), view.namespace_id};
  }

  std::vector<SessionView> all_sessions() {
    std::vector<SessionView> views(sessions);
    Engine::Cursor cursor;
    std::size_t count = 0;
    const Time now = scene_.next_tick();
    while (count < views.size()) {
      const auto more = scene_.engine().sessions(cursor, std::span(views).subspan(count), now);
      if (!more) break;
      count += *more;
    }
    views.resize(count);
    return views;
  }

  Scene<Ipv4> scene_;
  std::uint32_t active_per_new_;
  SplitMix random_;
  PacketBuffer buffer_;
  std::vector<SessionView> views_;
  std::vector<std::uint64_t> made_;  // sessions of each namespace so far
};

Rows with(const Effort& effort, std::uint32_t namespaces) {
  FullNamespaces calm(namespaces, 1);
  FullNamespaces busy(namespaces, 8);
  Floor floor(sessions, sizeof(Session<Ipv4>));
  const std::uint32_t count = std::max<std::uint32_t>(effort.packets / 4, chunk);
  const std::string name = "evict-and-create/namespaces-" + std::to_string(namespaces);
  return in_rounds(
      effort, [&] { return floor.measure(effort.packets); },
      {{{.name = name, .sessions = sessions}, [&] { return calm.measure(count); }},
       {{.name = name + "/active-8", .sessions = sessions}, [&] { return busy.measure(count); }}});
}

}  // namespace

Rows evict(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t namespaces : {1u, 100u, 10'000u}) {
    std::ranges::move(with(effort, namespaces), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace swnat::bench
