// A table that fills with a million sessions and then loses them all to time: what freeing costs,
// and how long the longest of all these calls holds up its caller.
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "engine/session/session.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

constexpr std::uint32_t sessions = 1'000'000;
constexpr std::uint32_t budget = 128;
constexpr std::size_t chunk = 1024;

// Times of the calling thread alone: what others did with its CPU does not count.
std::int64_t own_nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// The longest of many calls. A call counts as long as it took, but not longer than it ran.
class Longest {
 public:
  template <class Call>
  auto time(Call&& call) {
    const std::int64_t own_start = own_nanoseconds();
    const auto start = Clock::now();
    const auto result = call();
    const double took = nanoseconds_since(start);
    sum_ += took;
    if (took > longest_) {
      const auto ran = static_cast<double>(own_nanoseconds() - own_start);
      longest_ = std::max(longest_, std::min(took, ran));
    }
    return result;
  }

  double nanoseconds() const { return longest_; }
  double sum() const { return sum_; }

 private:
  double longest_ = 0;
  double sum_ = 0;
};

// One packet at a time, into a new engine.
double longest_insert(Scene<Ipv4>& scene) {
  Longest longest;
  PacketBuffer buffer(chunk);
  for (std::uint32_t first = 0; first < sessions; first += chunk) {
    const std::uint32_t count = std::min<std::uint32_t>(chunk, sessions - first);
    for (std::uint32_t i = 0; i < count; ++i) {
      buffer.write(i, scene.flow(first + i), protocol::udp, Direction::outbound, 0);
    }
    const Time now = scene.next_tick();
    for (Packet& packet : buffer.packets().first(count)) {
      packet.reason = longest.time(
          [&] { return scene.engine().outbound(packet.bytes, packet.namespace_id, now).reason; });
    }
    require_accepted(buffer.packets().first(count));
  }
  require_sessions(scene.engine(), sessions);
  return longest.nanoseconds();
}

struct Expiry {
  double each = 0;
  double longest = 0;
};

Expiry expire_all(Scene<Ipv4>& scene) {
  scene.sleep(scene_timeout + std::chrono::minutes(2));
  const Time now = scene.next_tick();
  Longest longest;
  while (longest.time([&] { return scene.engine().expire(0, now, budget); }) == budget) {
  }
  require_sessions(scene.engine(), 0);
  return {longest.sum() / sessions, longest.nanoseconds()};
}

}  // namespace

Rows expiry(const Effort& effort) {
  Floor floor(sessions, sizeof(Session<Ipv4>));
  std::unique_ptr<Scene<Ipv4>> scene;
  Expiry expired;
  std::vector<Subject> subjects;
  subjects.push_back({{.name = "longest/insert", .sessions = sessions}, [&] {
                        scene.reset();
                        scene = std::make_unique<Scene<Ipv4>>(
                            SceneOptions{.capacity = sessions, .populate = true});
                        return longest_insert(*scene);
                      }});
  subjects.push_back({{.name = "expire", .sessions = sessions}, [&] {
                        expired = expire_all(*scene);
                        return expired.each;
                      }});
  subjects.push_back(
      {{.name = "longest/expire", .sessions = sessions}, [&] { return expired.longest; }});
  return in_rounds(
      effort, [&] { return floor.measure(effort.packets); }, std::move(subjects));
}

}  // namespace swnat::bench
