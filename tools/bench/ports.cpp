// Taking and giving back external ports, at several degrees of use.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/ports/port_space.h"
#include "engine/session/session.h"
#include "engine/wire/family.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/random.h"
#include "tools/bench/rows.h"

namespace swnat::bench {
namespace {

constexpr PortRange range = {1024, 65'535};
constexpr std::uint32_t range_size = range.last - range.first + 1u;
constexpr std::uint32_t floor_sessions = 10'000;
constexpr std::size_t drawn_at_once = 1024;

// A port space of which always the same number of ports is taken.
class BusyPorts {
 public:
  explicit BusyPorts(std::uint32_t count) : space_(range, 1, true), random_(count) {
    while (taken_.size() < count) taken_.push_back(take(random_port(), random_.next()));
    draws_.resize(drawn_at_once);
  }

  // Nanoseconds for a port given back and one taken.
  double measure(std::uint32_t steps) {
    return time_in_chunks(
        steps, drawn_at_once, [&](std::size_t) { draw(); },
        [&] {
          for (const Draw& step : draws_) {
            std::uint16_t& port = taken_[step.place];
            const std::uint16_t given = std::exchange(port, take(step.like, step.random));
            space_.release(0, given, now, PortSpace::Rest::none);
          }
        },
        [&] {
          if (space_.free_count() != range_size - taken_.size()) {
            throw std::runtime_error("ports were lost");
          }
        });
  }

 private:
  struct Draw {
    std::uint32_t place;  // among those that are taken: the one that is given back
    std::uint16_t like;
    std::uint64_t random;
  };
  static constexpr Tick now = 1;

  std::uint16_t random_port() {
    return static_cast<std::uint16_t>(range.first + random_.below(range_size));
  }

  void draw() {
    const auto count = static_cast<std::uint32_t>(taken_.size());
    for (Draw& step : draws_) step = {random_.below(count), random_port(), random_.next()};
  }

  std::uint16_t take(std::uint16_t like, std::uint64_t random) {
    const auto port = space_.take(0, like, random, now);
    if (!port) throw std::runtime_error("no port was free");
    return *port;
  }

  PortSpace space_;
  SplitMix random_;
  std::vector<std::uint16_t> taken_;
  std::vector<Draw> draws_;
};

struct Degree {
  const char* name;
  double share;
};
constexpr Degree degrees[] = {{"50", 0.5}, {"95", 0.95}, {"99.9", 0.999}};

}  // namespace

Rows ports(const Effort& effort) {
  std::vector<BusyPorts> spaces;
  spaces.reserve(std::size(degrees));
  std::vector<Subject> subjects;
  for (const Degree& degree : degrees) {
    const auto count = static_cast<std::uint32_t>(degree.share * range_size);
    BusyPorts& space = spaces.emplace_back(count);
    subjects.push_back({{.name = std::string("take-port/") + degree.name, .sessions = count},
                        [&space, &effort] { return space.measure(effort.packets); }});
  }
  Floor floor(floor_sessions, sizeof(Session<Ipv4>));
  return in_rounds(
      effort, [&] { return floor.measure(effort.packets); }, std::move(subjects));
}

}  // namespace swnat::bench
