#include "tests/property/rehearsal.h"

namespace swnat::property {
namespace {

// A scrambler for secrets: splitmix64.
std::uint64_t scrambled(std::uint64_t number) {
  std::uint64_t word = number * 0x9e37'79b9'7f4a'7c15;
  word = (word ^ word >> 30) * 0xbf58'476d'1ce4'e5b9;
  word = (word ^ word >> 27) * 0x94d0'49bb'1331'11eb;
  return word ^ word >> 31;
}

// How often the complete list of sessions is compared.
constexpr std::uint32_t packets_per_check = 16;

IpEndpoint internal_of(const Internal& internal, bool v6, std::uint8_t protocol) {
  return {internal_host(v6, internal.host), has_ports(protocol) ? internal.port : std::uint16_t{0}};
}

// A port that no configuration hands out.
constexpr std::uint16_t nobody = 9;

// The external endpoint of a mapping, or one that nobody has.
IpEndpoint external_of(const Step& step, const Internal& internal, const Model& model) {
  const ModelSession* mapping = model.find_mapping(internal.tenant, step.protocol,
                                                   internal_of(internal, step.v6, step.protocol));
  if (mapping != nullptr) return mapping->external;
  return {external_host(step.v6, 0), nobody};
}

IpEndpoint remote_of(const Step& step, const Model& model) {
  IpEndpoint remote{remote_host(step.v6, step.remote), step.remote_port};
  if (step.remote == peer_remote) remote = external_of(step, step.peer, model);
  if (step.protocol != ip::tcp && step.protocol != ip::udp) remote.port = 0;
  return remote;
}

Kind kind_of(std::uint8_t protocol, bool asks) {
  if (protocol == ip::tcp) return Kind::tcp;
  if (protocol == ip::udp) return Kind::udp;
  if (protocol == ip::icmp) return asks ? Kind::echo_request : Kind::echo_reply;
  return Kind::other;
}

ChecksumState state_of(Sum sum) {
  if (sum == Sum::partial) return ChecksumState::partial;
  if (sum == Sum::segmented) return ChecksumState::segmented;
  return ChecksumState::complete;
}

// The flow as both sides know it: its session's, or what it would be.
struct Flow {
  IpEndpoint internal;
  IpEndpoint external;
  IpEndpoint inside_remote;
  IpEndpoint outside_remote;
};

Flow flow_of(const Step& step, const Model& model) {
  Flow flow;
  flow.internal = internal_of(step.from, step.v6, step.protocol);
  flow.inside_remote = remote_of(step, model);
  const ModelSession* session =
      model.find_inside(step.from.tenant, step.protocol, flow.internal, flow.inside_remote);
  if (session != nullptr) {
    flow.external = session->external;
    flow.outside_remote = session->outside_remote;
  } else {
    flow.external = external_of(step, step.from, model);
    flow.outside_remote = model.redirected(step.from.tenant, step.protocol, flow.inside_remote);
  }
  if (step.guess != 0) flow.external = {external_host(step.v6, step.external), step.guess};
  if (!has_ports(step.protocol)) flow.external.port = 0;
  return flow;
}

Draft outbound_draft(const Step& step, const Flow& flow, const Model& model) {
  Draft draft;
  draft.tenant = step.from.tenant;
  const bool hairpins = model.is_external(flow.inside_remote.address);
  draft.direction = hairpins || step.early ? Direction::hairpin : Direction::outbound;
  if (step.what == What::out) {
    draft.checksum = state_of(step.look.sum);
    draft.bytes = make_packet({flow.internal, flow.inside_remote}, kind_of(step.protocol, true),
                              step.tcp, step.look);
    return draft;
  }
  Bytes about = make_packet({flow.inside_remote, flow.internal}, kind_of(step.protocol, false),
                            step.tcp, {.ttl = 1, .payload = 30});
  about.resize(std::min<std::size_t>(about.size(), step.quoted));
  const IpAddress from = step.by_host ? flow.internal.address : internal_router(step.v6);
  draft.bytes = make_error(from, flow.inside_remote.address, step.error, about, step.look);
  return draft;
}

Draft inbound_draft(const Step& step, const Flow& flow) {
  Draft draft;
  const IpEndpoint& remote = step.raw ? flow.inside_remote : flow.outside_remote;
  draft.direction = Direction::inbound;
  // What a redirect within the namespace is answered with comes from inside.
  if (contains(within_network(step.v6), remote.address)) {
    draft.direction = Direction::hairpin;
    draft.tenant = step.from.tenant;
  }
  if (step.what == What::in) {
    draft.checksum = state_of(step.look.sum);
    draft.bytes =
        make_packet({remote, flow.external}, kind_of(step.protocol, false), step.tcp, step.look);
    return draft;
  }
  Bytes about = make_packet({flow.external, flow.outside_remote}, kind_of(step.protocol, true),
                            step.tcp, {.ttl = 1, .payload = 30});
  about.resize(std::min<std::size_t>(about.size(), step.quoted));
  const IpAddress from = step.by_host ? remote.address : remote_router(step.v6);
  draft.bytes = make_error(from, flow.external.address, step.error, about, step.look);
  return draft;
}

}  // namespace

EngineOptions options_of(const Setup& setup) {
  return {.shards = setup.shards,
          .max_sessions = setup.max_sessions,
          .secret = {scrambled(setup.secret), scrambled(setup.secret + 1),
                     scrambled(setup.secret + 2), scrambled(setup.secret + 3)}};
}

std::shared_ptr<const Policy> shared(const Policy& policy) {
  return std::make_shared<const Policy>(policy);
}

std::vector<SessionView> sessions_of(const Engine& engine, Time now,
                                     const SessionPattern& pattern) {
  std::vector<SessionView> all;
  SessionView page[16];
  Engine::Cursor cursor;
  while (const auto count = engine.sessions(pattern, cursor, page, now)) {
    all.insert(all.end(), page, page + *count);
  }
  return all;
}

void sweep(Engine& engine, Time now) {
  constexpr std::uint32_t budget = 50;
  for (std::uint32_t shard = 0; shard < engine.shard_count(); ++shard) {
    while (engine.expire(shard, now, budget) == budget) {
    }
  }
}

Packet packet_of(const Draft& draft) {
  return {.bytes = {},
          .namespace_id = draft.tenant,
          .direction = draft.direction,
          .checksum = draft.checksum};
}

std::vector<Draft> arrivals(const Step& step, Draft draft, std::uint32_t number) {
  if (step.pieces < 2) return {std::move(draft)};
  std::vector<Bytes> pieces = cut(draft.bytes, step.pieces, number);
  if (step.arrival == Arrival::last_first) pieces.insert(pieces.begin(), pieces.back());
  if (step.arrival == Arrival::first_twice) pieces.insert(pieces.begin(), pieces.front());
  std::vector<Draft> all(pieces.size(), draft);
  for (std::size_t i = 0; i < pieces.size(); ++i) all[i].bytes = std::move(pieces[i]);
  return all;
}

Draft draft_of(const Step& step, const Model& model) {
  const Flow flow = flow_of(step, model);
  const bool inbound = step.what == What::in || step.what == What::error_in;
  return inbound ? inbound_draft(step, flow) : outbound_draft(step, flow, model);
}

SessionPattern pattern_of(const Step& step, const Model& model) {
  const Flow flow = flow_of(step, model);
  const auto has = [&](std::uint16_t part) { return (step.parts & part) != 0; };
  const auto host = [](EndpointPattern& pattern, const IpAddress& address) {
    const auto alone = []<class Address>(const Address& one) -> IpNetwork {
      return Network<Address>{one, 8 * sizeof(Address)};
    };
    pattern.network = std::visit(alone, address);
  };
  const auto port = [](EndpointPattern& pattern, std::uint16_t number) {
    pattern.ports = {number, number};
  };
  SessionPattern pattern;
  if (has(part::tenant)) pattern.namespaces = {{step.from.tenant, step.from.tenant}};
  if (has(part::protocol)) pattern.protocol = step.protocol;
  if (has(part::internal_host)) host(pattern.internal, flow.internal.address);
  if (has(part::internal_port)) port(pattern.internal, flow.internal.port);
  if (has(part::external_host)) host(pattern.external, flow.external.address);
  if (has(part::external_port)) port(pattern.external, flow.external.port);
  if (has(part::remote_host)) host(pattern.remote, flow.outside_remote.address);
  if (has(part::remote_port)) port(pattern.remote, flow.outside_remote.port);
  pattern.idle_at_least = step.time;
  if (!has(part::state)) return pattern;
  const ModelSession* session =
      model.find_inside(step.from.tenant, step.protocol, flow.internal, flow.inside_remote);
  pattern.state = session == nullptr ? "opening" : session->state();
  return pattern;
}

Stage::Stage(const Setup& options)
    : setup(options), engine(options_of(setup), shared(setup.policies.front())), now(setup.start) {}

std::vector<SessionView> Stage::sessions(const SessionPattern& pattern) {
  return sessions_of(engine, now, pattern);
}

std::size_t Stage::end_sessions(const SessionPattern& pattern) {
  std::size_t ended = 0;
  Engine::Cursor cursor;
  while (const auto count = engine.end_sessions(pattern, cursor, now)) ended += *count;
  return ended;
}

std::vector<Event> Stage::events() {
  std::vector<Event> all;
  Event page[16];
  while (const std::size_t count = engine.take_events(page, now)) {
    all.insert(all.end(), page, page + count);
  }
  return all;
}

std::map<Room, std::uint32_t> Stage::counts() {
  std::map<Room, std::uint32_t> counts;
  for (const NamespaceUse& use : engine.namespaces()) counts[{use.id, ""}] = use.sessions;
  for (const ForwardUse& use : engine.forwards()) {
    counts[room_of(use.namespace_id, use.protocol, use.external)] = use.sessions;
  }
  return counts;
}

std::map<NamespaceId, std::uint32_t> Stage::ports() {
  std::map<NamespaceId, std::uint32_t> ports;
  for (const NamespaceUse& use : engine.namespaces()) ports[use.id] = use.ports;
  return ports;
}

std::map<NamespaceId, TwoWayTraffic> Stage::traffic() {
  std::map<NamespaceId, TwoWayTraffic> traffic;
  for (const NamespaceTraffic& one : engine.namespace_traffic()) traffic[one.id] = one.traffic;
  return traffic;
}

void Stage::sweep() {
  property::sweep(engine, now);
}

Played Stage::give(Draft draft) {
  Played played{{}, draft.bytes, packet_of(draft)};
  played.packet.bytes = played.bytes;
  engine.translate({&played.packet, 1}, now);
  played.draft = std::move(draft);
  return played;
}

void Part::check() {
  model_.check_sessions(stage_.now);
  model_.check_traffic(model_.owns_ports());
}

Part::Part(Stage& stage, NamespaceRange tenants, bool owns_ports)
    : stage_(stage),
      model_({stage.setup.shards, stage.setup.max_sessions, tenants, owns_ports},
             stage.setup.policies.front(), stage) {
  constexpr std::uint32_t room = 4096;
  if (owns_ports) stage_.engine.listen(EventKinds::all(), room);
}

void Part::play(const Step& step) {
  play_alone(step);
  // What expires as time passes the model says with the next step.
  if (!model_.owns_ports() || step.what == What::travel) return;
  model_.judge_events(stage_.events(), step.what == What::configure);
}

void Part::play_alone(const Step& step) {
  switch (step.what) {
    case What::travel:
      stage_.now += step.time;
      return;
    case What::sweep:
      stage_.sweep();
      model_.swept(stage_.now);
      return;
    case What::flush: {
      const SessionPattern pattern = pattern_of(step, model_);
      const std::vector<SessionView> listed = stage_.sessions(pattern);
      model_.flushed(pattern, listed, stage_.end_sessions(pattern), stage_.now);
      check();
      return;
    }
    case What::configure: {
      const Policy& policy = stage_.setup.policies[step.policy];
      stage_.engine.set_policy(shared(policy), stage_.now);
      configure(policy);
      check();
      return;
    }
    default:
      play_packet(step);
      return;
  }
}

void Part::play_packet(const Step& step) {
  model_.travel(stage_.now);
  ++played_;
  for (const Draft& draft : arrivals(step, draft_of(step, model_), played_)) {
    const auto counts_before = stage_.counts();
    const auto blocks_before = stage_.blocks();
    if (onlooker_ != nullptr) onlooker_->before(draft);
    Played played = stage_.give(draft);
    if (onlooker_ != nullptr) onlooker_->after(played);
    const Seen seen{info(played.packet.reason).name, played.bytes, played.packet.namespace_id,
                    counts_before, blocks_before};
    model_.judge({draft.direction, draft.tenant, draft.checksum, draft.bytes, stage_.now}, seen);
    model_.check_counts(stage_.now);
    if (model_.owns_ports()) model_.judge_events(stage_.events(), false);
    if (record_ != nullptr) record_->push_back(std::move(played));
  }
  if (played_ % packets_per_check == 0) check();
}

std::string disagreement(const Setup& setup, const std::vector<Step>& steps) {
  Stage stage(setup);
  Part part(stage, {}, true);
  std::size_t number = 0;
  try {
    for (; number < steps.size(); ++number) part.play(steps[number]);
    part.check();
  } catch (const Disagreement& wrong) {
    return "step " + std::to_string(number) + ": " + wrong.what();
  }
  return {};
}

}  // namespace swnat::property
