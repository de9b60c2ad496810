// Fragments of datagrams that established sessions send: the first one, which has the ports, and
// the one that follows it.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/fragments/fragment_table.h"
#include "engine/session/session.h"
#include "engine/wire/headers.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"
#include "tools/bench/scene.h"

namespace swnat::bench {
namespace {

// Datagrams whose second fragment is still to come: far from what the engine remembers.
constexpr std::size_t chunk = 1024;
static_assert(chunk < FragmentLimits{}.namespaces / 8);

constexpr std::uint16_t fragment_payload = 40;  // a multiple of eight bytes
constexpr std::uint16_t fragment_size = ipv4_header_min + fragment_payload;

class FragmentTraffic {
 public:
  explicit FragmentTraffic(Scene<Ipv4>& scene)
      : scene_(scene), random_(scene.options().sessions), firsts_(chunk), laters_(chunk) {
    // Until the engine remembers as many datagrams as it may, as where fragments are many.
    measure(2 * FragmentLimits{}.namespaces);
  }

  struct Costs {
    double first = 0;
    double later = 0;
  };

  Costs measure(std::uint32_t count) {
    const std::size_t chunks = std::max<std::size_t>(count / chunk, 1);
    draw(chunks * chunk);
    Costs spent;
    for (std::size_t number = 0; number < chunks; ++number) {
      write(number * chunk);
      const Time now = scene_.next_tick();
      const double first = time_translation(firsts_, now);
      const double later = time_translation(laters_, now);
      if (number < chunks / 8) continue;
      spent.first += first;
      spent.later += later;
    }
    const std::size_t timed_steps = (chunks - chunks / 8) * chunk;
    const auto timed = static_cast<double>(timed_steps);
    return {spent.first / timed, spent.later / timed};
  }

 private:
  double time_translation(PacketBuffer& buffer, Time now) {
    const auto start = Clock::now();
    translate_in_batches(scene_.engine(), buffer.packets(), now);
    const double took = nanoseconds_since(start);
    require_accepted(buffer.packets());
    return took;
  }

  void draw(std::size_t count) {
    drawn_.clear();
    for (std::size_t i = 0; i < count; ++i) drawn_.push_back(random_.one_of(scene_.flows()));
  }

  void write(std::size_t first) {
    for (std::size_t i = 0; i < chunk; ++i) {
      const Flow<Ipv4>& flow = drawn_[first + i];
      // Comes round only after as many datagrams as the engine remembers.
      ++identification_;
      write_fragment(firsts_, i, flow, ipv4_more_fragments);
      store_be16(&firsts_.packets()[i].bytes[ipv4_header_min + 4], 2 * fragment_payload);
      write_fragment(laters_, i, flow, fragment_payload / 8);
    }
  }

  void write_fragment(PacketBuffer& buffer, std::size_t place, const Flow<Ipv4>& flow,
                      std::uint16_t flags_and_offset) {
    buffer.write(place, flow, protocol::udp, Direction::outbound, 0);
    std::uint8_t* ip = buffer.packets()[place].bytes.data();
    store_be16(ip + 2, fragment_size);
    store_be16(ip + ipv4_identification_offset, identification_);
    store_be16(ip + 6, flags_and_offset);
  }

  Scene<Ipv4>& scene_;
  SplitMix random_;
  PacketBuffer firsts_;
  PacketBuffer laters_;
  std::uint16_t identification_ = 0;
  std::vector<Flow<Ipv4>> drawn_;
};

Rows at_size(const Effort& effort, std::uint32_t sessions) {
  Scene<Ipv4> scene({.sessions = sessions});
  FragmentTraffic traffic(scene);
  FragmentTraffic::Costs costs;
  Floor floor(sessions, sizeof(Session<Ipv4>));
  const Row first{.name = "fragment/first",
                  .sessions = sessions,
                  .bytes_per_session = scene.bytes_per_session()};
  Row later = first;
  later.name = "fragment/later";
  return in_rounds(effort, [&] { return floor.measure(effort.packets); },
                   {{first,
                     [&] {
                       costs = traffic.measure(effort.packets);
                       return costs.first;
                     }},
                    {later, [&] { return costs.later; }}});
}

}  // namespace

Rows fragments(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u}) {
    std::ranges::move(at_size(effort, sessions), std::back_inserter(rows));
  }
  return rows;
}

}  // namespace swnat::bench
