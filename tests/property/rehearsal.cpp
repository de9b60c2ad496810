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

EngineOptions options_of(const Setup& setup) {
  return {.shards = setup.shards,
          .max_sessions = setup.max_sessions,
          .secret = {scrambled(setup.secret), scrambled(setup.secret + 1),
                     scrambled(setup.secret + 2), scrambled(setup.secret + 3)}};
}

std::shared_ptr<const Policy> shared(const Policy& policy) {
  return std::make_shared<const Policy>(policy);
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

Draft draft_of(const Step& step, const Model& model) {
  const Flow flow = flow_of(step, model);
  const bool inbound = step.what == What::in || step.what == What::error_in;
  return inbound ? inbound_draft(step, flow) : outbound_draft(step, flow, model);
}

Stage::Stage(const Setup& options)
    : setup(options), engine(options_of(setup), shared(setup.policies.front())), now(setup.start) {}

std::vector<SessionView> Stage::sessions() {
  std::vector<SessionView> all;
  SessionView page[16];
  Engine::Cursor cursor;
  while (const std::size_t count = engine.sessions(cursor, page, now)) {
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

void Stage::sweep() {
  constexpr std::uint32_t budget = 50;
  for (std::uint32_t shard = 0; shard < engine.shard_count(); ++shard) {
    while (engine.expire(shard, now, budget) == budget) {
    }
  }
}

Part::Part(Stage& stage, NamespaceRange tenants, bool owns_ports)
    : stage_(stage),
      model_({stage.setup.shards, stage.setup.max_sessions, tenants, owns_ports},
             stage.setup.policies.front(), stage) {}

void Part::play(const Step& step) {
  switch (step.what) {
    case What::travel:
      stage_.now += step.time;
      return;
    case What::sweep:
      stage_.sweep();
      model_.swept(stage_.now);
      return;
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
  const Draft draft = draft_of(step, model_);
  Seen seen;
  seen.counts_before = stage_.counts();
  seen.blocks_before = stage_.blocks();
  seen.bytes = draft.bytes;
  Packet packet{.bytes = seen.bytes,
                .namespace_id = draft.tenant,
                .direction = draft.direction,
                .checksum = draft.checksum};
  stage_.engine.translate({&packet, 1}, stage_.now);
  seen.reason = info(packet.reason).name;
  seen.tenant = packet.namespace_id;
  model_.judge({draft.direction, draft.tenant, draft.checksum, draft.bytes, stage_.now}, seen);
  model_.check_counts(stage_.now);
  if (++played_ % packets_per_check == 0) check();
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
