// Fragments of honest senders, of several tenants with the same addresses and identifications, in
// any order: every datagram arrives whole, and none is mixed with another.
#include <algorithm>
#include <memory>

#include "tests/fuzz/changes.h"
#include "tests/fuzz/fragment_book.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/trace.h"
#include "tests/fuzz/traffic.h"
#include "tests/fuzz/world.h"

namespace swnat::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t datagrams_max = 8;
constexpr Time shorter_than_fragments_live = 10ms;

Policy roomy_policy() {
  Policy policy;
  for (const int version : {4, 6}) {
    const IpAddress& external = places_of(version).externals[0];
    if (version == 4) policy.external.v4 = {std::get<Ipv4Address>(external)};
    if (version == 6) policy.external.v6 = {std::get<Ipv6Address>(external)};
  }
  policy.ports = {40000, 40999};
  policy.namespaces = {{.first = 1, .last = 3}};
  return policy;
}

// What the engine gave back of one datagram's pieces.
struct Datagram {
  Given whole;
  Ends expected;
  std::size_t count = 0;  // of its pieces
  std::vector<Bytes> arrived;
};

struct Piece {
  std::size_t datagram;
  Given given;
  std::uint64_t held_as = 0;
};

class Trial {
 public:
  explicit Trial(Input& input)
      : input_(input),
        engine_({.shards = 2, .max_sessions = 256, .secret = {1, 2, 3, 4}},
                std::make_shared<const Policy>(roomy_policy())) {}

  void run() {
    const std::size_t count = 1 + input_.below(datagrams_max);
    for (std::size_t i = 0; i < count; ++i) prepare();
    while (!waiting_.empty()) {
      const std::size_t which = input_.below(waiting_.size());
      const Piece piece = waiting_[which];
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(which));
      if (input_.one_in(4)) now_ += shorter_than_fragments_live;
      give(piece);
    }
    require(held_.empty(), "nothing is held once all first fragments came");
    for (const Datagram& datagram : datagrams_) check_whole(datagram);
  }

 private:
  void prepare();
  void give(Piece piece);
  void check_whole(const Datagram& datagram) const;

  Input& input_;
  Engine engine_;
  Time now_ = 50'000ms;
  FragmentBook book_;
  std::vector<Datagram> datagrams_;
  std::vector<Piece> waiting_;
  std::vector<Piece> held_;
};

// Opens the datagram's session, and cuts it. What another datagram's fragments could be taken for
// is left out, for its sender would not send it.
void Trial::prepare() {
  const std::uint8_t who = input_.byte();
  const std::uint8_t how = input_.byte();
  const int version = (who & 1) == 0 ? 4 : 6;
  const std::uint8_t icmp = version == 4 ? number::icmp : number::icmpv6;
  const std::uint8_t protocols[] = {number::udp, number::tcp, icmp, number::gre};
  const std::uint8_t protocol = protocols[who >> 1 & 3];
  const NamespaceId id = protocol == number::gre ? 1 : 1 + (who >> 3 & 1);
  const bool is_inbound = (who & 16) != 0;
  const IpEndpoint internal{places_of(version).hosts[0],
                            protocol == number::gre ? std::uint16_t{0} : std::uint16_t{40000}};
  const bool has_remote_port = protocol == number::udp || protocol == number::tcp;
  const IpEndpoint remote{places_of(version).remotes[0],
                          has_remote_port ? std::uint16_t{80} : std::uint16_t{0}};
  Given opening{.bytes = plain_packet(protocol, internal, remote, false, true),
                .direction = Direction::outbound,
                .namespace_id = id};
  Packet opened = opening.packet(opening.bytes);
  engine_.translate({&opened, 1}, now_);
  require(opened.reason == Reason::translated_outbound, "a roomy engine opens a session");
  const IpEndpoint external = ends_of(opened.bytes, *read(opened.bytes)).source;

  Datagram datagram;
  datagram.whole = {.bytes = plain_packet(protocol, is_inbound ? remote : internal,
                                          is_inbound ? external : remote, is_inbound),
                    .direction = is_inbound ? Direction::inbound : Direction::outbound,
                    .namespace_id = is_inbound ? 0 : id};
  Bytes& bytes = datagram.whole.bytes;
  const std::size_t payload = 8 + std::size_t{7} * (how >> 4);
  for (std::size_t i = 0; i < payload; ++i)
    bytes.push_back(static_cast<std::uint8_t>(who ^ i * 29));
  const auto length = static_cast<std::uint32_t>(bytes.size());
  set_word(bytes, version == 4 ? 2 : 4, version == 4 ? length : length - 40);
  const auto anatomy = read(bytes);
  if (protocol == number::udp) {
    set_word(bytes, anatomy->transport + 4, static_cast<std::uint32_t>(anatomy->transport_size));
  }
  mend(bytes);
  datagram.expected = is_inbound ? Ends{remote, internal} : Ends{external, remote};
  const std::size_t size = protocol == number::tcp ? 24 : std::size_t{8} << (how >> 2 & 1);
  const auto pieces = fragments_of(bytes, size, how & 3);
  datagram.count = pieces.size();
  const auto is_like = [&](const Datagram& other) {
    const Anatomy a = *read(other.arrived[0]);
    const Anatomy b = *read(pieces[0]);
    return other.whole.sender() == datagram.whole.sender() && a.source == b.source &&
           a.destination == b.destination && a.identification_is == b.identification_is &&
           (a.version == 6 || a.protocol == b.protocol);
  };
  if (pieces.size() == 1 || std::ranges::any_of(datagrams_, is_like)) return;
  for (const Bytes& piece : pieces) {
    Given given = datagram.whole;
    given.bytes = piece;
    waiting_.push_back({datagrams_.size(), given});
  }
  datagram.arrived = {pieces[0]};  // until there are others, what it is told by
  datagrams_.push_back(datagram);
}

void Trial::give(Piece piece) {
  Bytes copy;
  Packet packet = piece.given.packet(copy);
  trace(piece.given);
  engine_.translate({&packet, 1}, now_);
  trace(packet);
  check_changes(piece.given, packet);
  book_.check(piece.given, packet, now_);
  if (packet.verdict() == Verdict::hold) {
    piece.held_as = packet.datagram;
    held_.push_back(piece);
    return;
  }
  require(packet.verdict() == Verdict::accept, "an honest fragment is accepted");
  datagrams_[piece.datagram].arrived.push_back(copy);
  // Those that waited for it.
  std::vector<Piece> released;
  std::erase_if(held_, [&](const Piece& held) {
    if (held.held_as != packet.datagram) return false;
    released.push_back(held);
    return true;
  });
  for (const Piece& held : released) give(held);
}

// Puts the pieces together as their receiver does, and looks at the datagram.
void Trial::check_whole(const Datagram& datagram) const {
  require(datagram.arrived.size() == datagram.count + 1, "all pieces arrive, once");
  const Anatomy first = *read(datagram.whole.bytes);
  const std::size_t header_size = first.version == 4 ? first.transport : 40;
  Bytes whole(datagram.whole.bytes.size());
  for (std::size_t i = 1; i < datagram.arrived.size(); ++i) {
    const Bytes& piece = datagram.arrived[i];
    const Anatomy anatomy = *read(piece);
    if (!anatomy.is_later()) std::copy_n(piece.begin(), header_size, whole.begin());
    const View part = View(piece)
                          .first(anatomy.length)
                          .subspan(first.version == 4 ? header_size : header_size + 8);
    std::ranges::copy(
        part, whole.begin() + static_cast<std::ptrdiff_t>(header_size + anatomy.fragment_offset));
  }
  // The header's length and flags are the first piece's.
  set_word(whole, first.version == 4 ? 2 : 4,
           word_at(datagram.whole.bytes, first.version == 4 ? 2 : 4));
  if (first.version == 4) set_word(whole, 6, 0);
  if (first.version == 6) whole[6] = datagram.whole.bytes[6];
  const Anatomy anatomy = *read(whole);
  const Ends ends = ends_of(whole, anatomy);
  require(
      ends.source == datagram.expected.source && ends.destination == datagram.expected.destination,
      "a datagram arrives between the ends of its session");
  require(transport_damage(whole, anatomy).value_or(0) == 0, "a datagram arrives with a right sum");
  const auto body = [&](const Bytes& bytes) {
    return View(bytes).subspan(std::min(bytes.size(), anatomy.transport + 20));
  };
  require(std::ranges::equal(body(whole), body(datagram.whole.bytes)),
          "a datagram arrives with its own payload");
}

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  swnat::fuzz::use_fresh_memory();
  swnat::fuzz::Input input(data, size);
  swnat::fuzz::Trial(input).run();
  return 0;
}
