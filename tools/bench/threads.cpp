// Established packets from one thread and from two. Steered, each thread has only packets of its
// own shard, as if queues were chosen by the port; unsteered, threads meet in all shards.
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports/port_space.h"
#include "engine/session/session.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"
#include "tools/bench/team.h"

namespace swnat::bench {
namespace {

constexpr unsigned threads_max = 2;
constexpr std::uint32_t shards = 2;

// Long enough for the barrier not to count, and still in the CPU's own cache.
constexpr std::uint32_t section_packets = 4096;

// What a thread works on.
struct alignas(64) Lane {
  explicit Lane(unsigned number) : random(number), buffer(section_packets) {}

  SplitMix random;
  PacketBuffer buffer;
  std::vector<Flow<Ipv4>> drawn;  // for all sections
};

class ThreadedTraffic {
 public:
  explicit ThreadedTraffic(Scene<Ipv4>& scene)
      : scene_(scene), floor_(scene.options().sessions, sizeof(Session<Ipv4>)) {
    for (unsigned thread = 0; thread < threads_max; ++thread) lanes_.emplace_back(thread);
    for (const Flow<Ipv4>& flow : scene.flows()) {
      of_shard_[shard_of_port(flow.internal.port, shards)].push_back(flow);
    }
  }

  // Nanoseconds of wall time for each of about `count` packets of all threads together.
  double measure(unsigned threads, bool is_steered, std::uint32_t count) {
    const std::size_t sections = sections_of(threads, count);
    for (unsigned thread = 0; thread < threads; ++thread) {
      draw(lanes_[thread], thread, threads, is_steered, sections * section_packets);
    }
    Time now{};
    const TeamWork work{
        .prepare =
            [&](unsigned thread, std::size_t section) {
              if (thread == 0) now = scene_.next_tick();
              write(lanes_[thread], section);
            },
        .timed =
            [&](unsigned thread) {
              translate_in_batches(scene_.engine(), lanes_[thread].buffer.packets(), now);
            },
        .check = [&](unsigned thread) { require_accepted(lanes_[thread].buffer.packets()); }};
    return per_packet(run_team(threads, sections, work), threads, sections);
  }

  double measure_floor(unsigned threads, std::uint32_t count) {
    const std::size_t sections = sections_of(threads, count);
    const TeamWork work{
        .prepare = [](unsigned, std::size_t) {},
        .timed = [&](unsigned thread) { floor_.touch(lanes_[thread].random, section_packets); },
        .check = [](unsigned) {}};
    return per_packet(run_team(threads, sections, work), threads, sections);
  }

 private:
  static std::size_t sections_of(unsigned threads, std::uint32_t count) {
    constexpr std::uint32_t sections_min = 8;
    return std::max(count / threads / section_packets, sections_min);
  }

  static double per_packet(double spent, unsigned threads, std::size_t sections) {
    const std::size_t timed = sections - sections / 8;
    return spent / static_cast<double>(timed * threads * section_packets);
  }

  // A thread alone has the packets of all shards, batch by batch.
  void draw(Lane& lane, unsigned thread, unsigned threads, bool is_steered, std::size_t count) {
    lane.drawn.clear();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t shard = threads == shards ? thread : i / batch_size % shards;
      const std::span flows =
          is_steered ? std::span<const Flow<Ipv4>>(of_shard_[shard]) : scene_.flows();
      lane.drawn.push_back(lane.random.one_of(flows));
    }
  }

  void write(Lane& lane, std::size_t section) {
    for (std::size_t i = 0; i < section_packets; ++i) {
      lane.buffer.write(i, lane.drawn[section * section_packets + i], protocol::udp,
                        i % 2 == 0 ? Direction::outbound : Direction::inbound, 0);
    }
  }

  Scene<Ipv4>& scene_;
  Floor floor_;
  std::vector<Lane> lanes_;
  std::vector<Flow<Ipv4>> of_shard_[shards];
};

Rows at_size(const Effort& effort, std::uint32_t sessions) {
  // A shard has its part of the room, but not exactly its part of the sessions.
  Scene<Ipv4> scene({.sessions = sessions, .capacity = sessions + sessions / 32, .shards = shards});
  ThreadedTraffic traffic(scene);
  std::vector<Subject> subjects;
  for (const bool is_steered : {true, false}) {
    for (unsigned threads = 1; threads <= threads_max; ++threads) {
      subjects.push_back({{.name = is_steered ? "threads/steered" : "threads/unsteered",
                           .sessions = sessions,
                           .threads = threads,
                           .bytes_per_session = scene.bytes_per_session()},
                          [&traffic, &effort, threads, is_steered] {
                            return traffic.measure(threads, is_steered, effort.packets);
                          }});
    }
  }
  // The floor of as many threads is measured like a row, and is the reference of those rows.
  subjects.push_back({{}, [&] { return traffic.measure_floor(threads_max, effort.packets); }});
  Rows rows = in_rounds(
      effort, [&] { return traffic.measure_floor(1, effort.packets); }, std::move(subjects));
  const Sample floor = rows.back().cost;
  rows.pop_back();
  for (Row& row : rows) {
    if (row.threads == threads_max) row.reference = floor;
  }
  return rows;
}

}  // namespace

Rows threads(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u}) {
    for (Row& row : at_size(effort, sessions)) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace swnat::bench
