// The whole engine: a sequence of packets, time and changes, with everything checked after each.
#include <algorithm>
#include <map>
#include <memory>

#include "tests/fuzz/changes.h"
#include "tests/fuzz/fragment_book.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/trace.h"
#include "tests/fuzz/traffic.h"
#include "tests/fuzz/witness.h"

namespace swnat::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr int steps_max = 200;
constexpr int attachments_max = 3;  // each makes an engine, which takes its time
constexpr std::uint32_t shards = 2;
constexpr Time longer_than_sessions_live = 1h;
constexpr Time longer_than_ports_rest = 10min;

class Trial {
 public:
  explicit Trial(Input& input)
      : input_(input),
        frame_(draw_frame(input)),
        policy_(draw_policy(input, frame_)),
        // Near where ticks come round, or not.
        now_((input.byte() & 1) == 0 ? 1'000'000ms : Time((1LL << 32) - 20'000)),
        traffic_(input),
        memory_(Engine::session_memory_size(options(), policy_) / sizeof(Line) + 1) {
    attach();
  }

  void run() {
    for (int step = 0; step < steps_max && !input_.is_over(); ++step) take_step();
    for (const SessionView& session : listing_) visit(session);
    check_that_nothing_leaked();
  }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };

  EngineOptions options() const {
    return {.shards = shards, .max_sessions = frame_.max_sessions, .secret = {11, 22, 33, 44}};
  }
  void attach();
  void attach_again();
  void take_step();
  void give(std::size_t count);
  void check_alone(const Given& given, const Packet& packet, const Listing& later);
  void check_evictions(const Listing& later, NamespaceId sender);
  void look();
  void end_all();
  void change_policy();
  void visit(const SessionView& session);
  Packet pass(const Given& given);
  void check_that_nothing_leaked();
  void take_all_ports(const IpAddress& external, std::uint8_t protocol);

  Input& input_;
  Frame frame_;
  Policy policy_;
  Time now_;
  Traffic traffic_;
  std::vector<Line> memory_;
  std::unique_ptr<Engine> engine_;
  int attachments_ = 0;
  FragmentBook fragments_;
  Counters counters_{};  // as the engine's must be
  Listing listing_;
  std::map<NamespaceId, std::uint32_t> uses_;  // sessions that count against the limit
  Bytes passed_;
};

void Trial::attach() {
  trace(policy_);
  EngineOptions with_memory = options();
  with_memory.session_memory = std::as_writable_bytes(std::span(memory_));
  with_memory.now = now_;
  engine_ = std::make_unique<Engine>(with_memory, std::make_shared<const Policy>(policy_));
  fragments_ = {};
  counters_ = {};
}

void Trial::take_step() {
  constexpr Time durations[] = {1ms, 400ms, 1s, 1s + 1ms, 4s, 5s, 15s, 100s};
  const std::uint8_t choice = input_.byte();
  if (choice < 200) {
    give(1);
  } else if (choice < 210) {
    give(2 + choice % 4);
  } else if (choice < 226) {
    now_ += durations[choice % 8];
    trace("at " + std::to_string(now_.count()));
  } else if (choice < 234) {
    engine_->expire(choice % shards, now_, 1 + input_.below(8));
  } else if (choice < 246) {
    change_policy();
  } else if (attachments_ < attachments_max) {
    attach_again();
  }
  look();
}

void Trial::give(std::size_t count) {
  std::vector<Given> given;
  std::vector<Bytes> copies(count);
  std::vector<Packet> packets;
  for (std::size_t i = 0; i < count; ++i) {
    given.push_back(traffic_.next(listing_));
    packets.push_back(given[i].packet(copies[i]));
    trace(given[i]);
  }
  engine_->translate(packets, now_);
  for (std::size_t i = 0; i < count; ++i) {
    trace(packets[i]);
    ++counters_[static_cast<std::size_t>(packets[i].reason)];
    check_changes(given[i], packets[i]);
    fragments_.check(given[i], packets[i], now_);
    traffic_.saw(given[i], packets[i]);
  }
  if (count == 1) check_alone(given[0], packets[0], listing_of(*engine_, now_));
}

// What the packet did to the sessions, which for a batch cannot be told apart. `listing_` is as it
// was before.
void Trial::check_alone(const Given& given, const Packet& packet, const Listing& later) {
  Witness(policy_, listing_, later).check(given, packet);
  check_losses(listing_, later, policy_, given.sender());
  check_evictions(later, given.sender());
  const auto anatomy = read(given.bytes);
  const bool is_passive = anatomy && (anatomy->is_later() || is_icmp_error(given.bytes, *anatomy));
  const bool is_refused =
      packet.verdict() != Verdict::accept && given.direction == Direction::inbound;
  require((!is_passive && !is_refused) || is_unchanged(listing_, later),
          "ICMP errors, later fragments and what is refused from outside change no session");
}

// What is over goes first, then what nobody answered, then the others. A listing does not show
// whether a session without a connection was answered.
struct Ranks {
  int lowest;
  int highest;
};
Ranks ranks_of(const SessionView& session) {
  if (session.state == "closing" || session.state == "reset") return {0, 0};
  if (session.state == "opening") return {1, 1};
  return session.state == "active" ? Ranks{1, 2} : Ranks{2, 2};
}

bool surely_goes_before(const SessionView& a, const SessionView& b) {
  const Ranks of_a = ranks_of(a);
  const Ranks of_b = ranks_of(b);
  const bool are_same = of_a.lowest == of_b.highest && of_a.highest == of_b.lowest;
  return of_a.highest < of_b.lowest || (are_same && a.idle > b.idle);
}

// RFC 6888 REQ-11: a new session of a namespace at its limit ends the one that has to go first.
// Sessions whose time is over count until they are freed, though they are listed no more.
void Trial::check_evictions(const Listing& later, NamespaceId sender) {
  const auto is_own = [&](const SessionView& session) { return session.namespace_id == sender; };
  const NamespacePolicy* one = find_namespace(policy_, sender);
  for (const SessionView& session : listing_) {
    if (!is_own(session) || find(later, session) != nullptr) continue;
    if (session.protocol == number::tcp && policy_.timeouts.tcp_transitory.count() == 0) continue;
    require(policy_.at_limit == AtLimit::evict_oldest || ranks_of(session).highest == 0,
            "where the limit refuses, only what is over is ended");
    require(uses_.at(sender) >= one->session_limit,
            "a session is ended only for a namespace at its limit");
    require(std::ranges::none_of(listing_,
                                 [&](const SessionView& other) {
                                   return is_own(other) && surely_goes_before(other, session);
                                 }),
            "no session is ended before one that has to go first");
  }
}

// What must hold at any time.
void Trial::look() {
  listing_ = listing_of(*engine_, now_);
  uses_.clear();
  for (const NamespaceUse& use : engine_->namespaces()) uses_[use.id] = use.sessions;
  trace(listing_);
  check_counts(*engine_, policy_, listing_, frame_.max_sessions);
  check_owners(policy_, listing_);
  require(engine_->counters() == counters_, "each packet is counted once, by its reason");
}

void Trial::change_policy() {
  policy_ = draw_policy(input_, frame_);
  trace(policy_);
  engine_->set_policy(std::make_shared<const Policy>(policy_), now_);
}

// As a new process does after the old one is gone.
void Trial::attach_again() {
  trace("attach again");
  ++attachments_;
  engine_.reset();
  attach();
  require(is_unchanged(listing_, listing_of(*engine_, now_)),
          "the sessions go on in the next engine");
}

Packet Trial::pass(const Given& given) {
  Packet packet = given.packet(passed_);
  trace(given);
  engine_->translate({&packet, 1}, now_);
  trace(packet);
  return packet;
}

// Both flows of a listed session translate. Left out are those whose packets may look otherwise on
// the inside: redirected ones, also within the namespace.
void Trial::visit(const SessionView& session) {
  const NamespacePolicy* one = find_namespace(policy_, session.namespace_id);
  const bool is_redirected = std::ranges::any_of(policy_.redirects, [&](const RedirectRule& rule) {
    return rule.protocol == session.protocol && rule.to == session.remote;
  });
  if (is_redirected || contains(one->inside, session.remote.address)) return;
  const Given out{.bytes = plain_packet(session.protocol, session.internal, session.remote, false),
                  .direction = Direction::outbound,
                  .namespace_id = session.namespace_id};
  const Packet sent = pass(out);
  require(sent.reason == Reason::translated_outbound, "a listed session's packets go out");
  const Ends left = ends_of(sent.bytes, *read(sent.bytes));
  require(left.source == session.external && left.destination == session.remote,
          "a listed session's packets go out as it says");
  const Given in{.bytes = plain_packet(session.protocol, session.remote, session.external, true),
                 .direction = Direction::inbound};
  const Packet answer = pass(in);
  require(
      answer.reason == Reason::translated_inbound && answer.namespace_id == session.namespace_id,
      "a listed session's answers come in");
  require(ends_of(answer.bytes, *read(answer.bytes)).destination == session.internal,
          "a listed session's answers come in to its internal endpoint");
}

void Trial::end_all() {
  now_ += longer_than_sessions_live;
  for (std::uint32_t shard = 0; shard < shards; ++shard) {
    while (engine_->expire(shard, now_, 64) == 64) {
    }
  }
  require(engine_->session_count() == 0, "in the end every session is freed");
  for (const NamespaceUse& use : engine_->namespaces()) {
    require(use.sessions == 0, "a namespace without sessions uses none");
  }
  now_ += longer_than_ports_rest;
}

// When every session's time is over, every port is free again.
void Trial::check_that_nothing_leaked() {
  end_all();
  for (const int version : {4, 6}) {
    for (const IpAddress& external : places_of(version).externals) {
      if (!is_external(frame_.external, external)) continue;
      const Policy open = open_policy(frame_, external);
      engine_->set_policy(std::make_shared<const Policy>(open), now_);
      now_ += longer_than_ports_rest;  // those of forwards that are gone
      const std::uint8_t icmp = version == 4 ? number::icmp : number::icmpv6;
      for (const std::uint8_t protocol : {number::tcp, number::udp, icmp}) {
        take_all_ports(external, protocol);
        end_all();
      }
    }
  }
}

// A port that is free is kept, so each of them can be asked for; not with a port for each remote,
// which follows from the flow.
void Trial::take_all_ports(const IpAddress& external, std::uint8_t protocol) {
  const Places& places = places_of(std::holds_alternative<Ipv4Address>(external) ? 4 : 6);
  const PortRange all = frame_.ports.envelope();
  const std::uint32_t count = all.last - all.first + 1U;
  if (count / shards + 1 > frame_.max_sessions / shards) return;
  if (frame_.mapping == Mapping::address_and_port_dependent) return;
  for (std::uint32_t port = all.first; port <= all.last; ++port) {
    if (!frame_.ports.contains(static_cast<std::uint16_t>(port))) continue;
    const IpEndpoint internal{places.hosts[0], static_cast<std::uint16_t>(port)};
    const IpEndpoint remote{places.remotes[0], 9};
    const Packet packet = pass({.bytes = plain_packet(protocol, internal, remote, false, true),
                                .direction = Direction::outbound,
                                .namespace_id = 1});
    require(packet.reason == Reason::translated_outbound, "in the end every port is free");
    require(
        ends_of(packet.bytes, *read(packet.bytes)).source == IpEndpoint{external, internal.port},
        "a free port is kept");
  }
}

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  swnat::fuzz::use_fresh_memory();
  swnat::fuzz::Input input(data, size);
  swnat::fuzz::Trial(input).run();
  return 0;
}
