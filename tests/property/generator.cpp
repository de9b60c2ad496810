#include "tests/property/generator.h"

#include <algorithm>

namespace swnat::property {
namespace {

constexpr std::size_t recent_max = 12;
constexpr NamespaceId tenant_max = 3;

// Beside the ports, so that some are kept where ports are, of both parities and classes.
constexpr std::uint16_t internal_ports[] = {1000, 1001, 40000, 40001, 40006, 600, 50007};
constexpr std::uint16_t forwarded = 40080;
constexpr std::uint16_t remote_ports[] = {80, 443};

Internal internal_of(const ModelSession& session) {
  std::uint8_t host = 0;
  while (host < 2 &&
         internal_host(is_v6(session.internal.address), host) != session.internal.address) {
    ++host;
  }
  return {.tenant = session.tenant, .host = host, .port = session.internal.port};
}

// The session's flow by its roles; nothing where its remote has none.
std::optional<Step> flow_of(const ModelSession& session, const Model& model) {
  Step step;
  step.v6 = is_v6(session.internal.address);
  step.protocol = session.protocol;
  step.from = internal_of(session);
  step.remote_port = session.inside_remote.port;
  const IpAddress& remote = session.inside_remote.address;
  if (model.is_external(remote)) {
    for (const ModelSession& peer : model.sessions()) {
      if (peer.external != session.inside_remote || peer.protocol != session.protocol) continue;
      step.remote = peer_remote;
      step.peer = internal_of(peer);
      return step;
    }
    return {};
  }
  for (std::uint8_t number = 0; number < first_impossible; ++number) {
    step.remote = number;
    if (remote_host(step.v6, number) == remote) return step;
  }
  return {};
}

}  // namespace

Setup Generator::setup() {
  Setup setup;
  setup.shards = one_of({1u, 1u, 2u, 4u});
  setup.max_sessions = dice_.one_in(8) ? 4 + dice_.below(12) : 4096;
  setup.secret = dice_();
  if (dice_.one_in(4)) setup.start = Time{0x1'0000'0000 - dice_.below(5000)};
  setup.policies.push_back(policy());
  for (std::uint32_t i = dice_.below(3); i > 0; --i) {
    setup.policies.push_back(changed(setup.policies.front()));
  }
  return setup;
}

Setup Generator::crowd_setup(std::uint32_t shards, NamespaceId tenants) {
  Setup setup = this->setup();
  setup.shards = shards;
  setup.max_sessions = 65'536;
  for (Policy& one : setup.policies) {
    one.ports = {};
    // A packet to an external endpoint must not find another model's session there.
    one.mapping = Mapping::endpoint_independent;
    std::erase_if(one.redirects,
                  [](const RedirectRule& rule) { return rule.to.port == forwarded; });
    NamespacePolicy like = one.namespaces.front();
    like.port_block = setup.policies.front().has_port_blocks() ? one_of({64u, 128u}) : 0;
    one.namespaces.clear();
    for (NamespaceId id = 1; id <= tenants; ++id) {
      one.namespaces.push_back(like);
      one.namespaces.back().first = one.namespaces.back().last = id;
      one.namespaces.back().session_limit = one_of({2u, 4u, 9u, 200u});
    }
  }
  return setup;
}

Setup Generator::roomy_setup() {
  Setup setup = this->setup();
  setup.max_sessions = 65'536;
  for (Policy& one : setup.policies) {
    // No host's own port, which is asked for again as soon as it is free.
    one.ports = {20'000, 39'999};
    // What closes a connection does not free its mapping at once.
    if (one.timeouts.tcp_transitory.count() == 0) one.timeouts.tcp_transitory = Time{3000};
    // A session that a stranger begins is as old as its mapping's others.
    if (one.filtering == Filtering::endpoint_independent) {
      one.filtering = Filtering::address_dependent;
    }
    for (NamespacePolicy& own : one.namespaces) {
      own.session_limit = 10'000;
      own.port_limit = 0;
    }
  }
  return setup;
}

Policy Generator::policy() {
  Policy policy = plain_policy();
  policy.external = {};
  const std::uint32_t families = dice_.below(16);  // mostly both
  for (std::uint8_t i = 0; i <= dice_.below(3); ++i) {
    if (families != 0) {
      policy.external.v4.push_back(std::get<Ipv4Address>(external_host(false, i)));
    }
    if (families != 1) {
      policy.external.v6.push_back(std::get<Ipv6Address>(external_host(true, i)));
    }
  }
  if (dice_.one_in(3)) {
    policy.ports = {};
  } else {
    const auto first = one_of<int>({40000, 40001, 40013, 1010, 590, 65530});
    const int last = std::min<int>(first + static_cast<int>(dice_.below(24)), 65535);
    policy.ports = {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
    if (dice_.one_in(3) && last < 65'000) {
      const auto second = static_cast<std::uint16_t>(last + 2 + static_cast<int>(dice_.below(40)));
      policy.ports = PortRanges({policy.ports.envelope(), {second, second}});
    }
  }
  if (dice_.one_in(4)) policy.mapping = Mapping::address_and_port_dependent;
  choose_namespaces(policy);
  if (dice_.one_in(3)) choose_blocks(policy);
  return changed(policy);
}

void Generator::choose_namespaces(Policy& policy) {
  policy.namespaces.clear();
  for (NamespaceId id = 1; id <= tenant_max; ++id) {
    NamespacePolicy own{.first = id, .last = id};
    if (id == 2 && dice_.one_in(2)) own.last = id = 3;
    const AddressLists& all = policy.external;
    if (dice_.one_in(3) && !all.v4.empty()) own.external.v4 = {all.v4.back()};
    if (dice_.one_in(3) && !all.v6.empty()) own.external.v6 = {all.v6.front()};
    own.inside = {within_network(false), within_network(true)};
    policy.namespaces.push_back(own);
  }
}

// Few blocks, so that there may be none left, and some that have few ports.
void Generator::choose_blocks(Policy& policy) {
  const PortRange before = policy.ports.envelope();
  if (before.last != 65'535 && before.first < 64'000) {
    const std::uint32_t last = before.first + 30u + dice_.below(260);
    policy.ports = PortRanges(before.first, static_cast<std::uint16_t>(last));
    if (dice_.one_in(2)) {
      const auto second = static_cast<std::uint16_t>(last + 2 + dice_.below(80));
      policy.ports = PortRanges({policy.ports.envelope(), {second, second}});
    }
  }
  choose_block_sizes(policy);
}

void Generator::choose_block_sizes(Policy& policy) {
  policy.namespaces.front().port_block = 0;
  while (!policy.has_port_blocks()) {
    for (NamespacePolicy& one : policy.namespaces) {
      one.port_block = one_of({0u, 64u, 64u, 64u, 128u, 256u});
    }
  }
}

Timeouts Generator::timeouts() {
  Timeouts timeouts;
  if (dice_.one_in(2)) timeouts.udp = one_of({Time{1000}, Time{2500}, Time{30'000}});
  if (dice_.one_in(2)) timeouts.icmp = one_of({Time{700}, Time{5000}});
  if (dice_.one_in(2)) timeouts.tcp_transitory = one_of({Time{0}, Time{0}, Time{3000}});
  if (dice_.one_in(2)) timeouts.tcp_established = one_of({Time{10'000}, Time{600'000}});
  return timeouts;
}

// What an operator may change while the engine lives.
Policy Generator::changed(Policy policy) {
  policy.filtering = one_of({Filtering::endpoint_independent, Filtering::address_dependent,
                             Filtering::address_and_port_dependent});
  policy.at_limit = dice_.one_in(3) ? AtLimit::refuse : AtLimit::evict_oldest;
  policy.hairpin = !dice_.one_in(6);
  policy.timeouts = timeouts();
  for (NamespacePolicy& one : policy.namespaces) {
    one.session_limit = one_of({1u, 2u, 3u, 5u, 8u, 200u, 200u});
    one.port_limit = one_of({0u, 0u, 0u, 1u, 2u, 4u});
  }
  const bool has_blocks = policy.has_port_blocks();
  if (policy.namespaces.size() > 1 && dice_.one_in(4)) policy.namespaces.pop_back();
  if (has_blocks) choose_block_sizes(policy);
  choose_rules(policy);
  return policy;
}

// Rules are about what flows are likely to meet: the remotes' ports, remote 3 and remote 4, and the
// host 1 of a namespace.
void Generator::choose_rules(Policy& policy) {
  policy.drops.clear();
  policy.redirects.clear();
  policy.forwards.clear();
  const bool v6 = policy.external.v4.empty() || (!policy.external.v6.empty() && dice_.one_in(2));
  for (NamespacePolicy& one : policy.namespaces) {
    one.untranslated.clear();
    if (dice_.one_in(3)) one.untranslated = {untranslated_remote(v6)};
  }
  const NamespaceId tenant = policy.namespaces.front().first;
  const NamespaceRange range = dice_.one_in(2) ? NamespaceRange{} : NamespaceRange{tenant, tenant};
  if (dice_.one_in(3)) {
    policy.drops.push_back({one_of<std::uint8_t>({ip::tcp, ip::udp, ip::icmp}), {443, 500}, range});
  }
  for (std::uint32_t i = dice_.below(4); i > 1; --i) {
    const std::uint16_t from = one_of<std::uint16_t>({80, 443});
    IpEndpoint to{remote_host(v6, dice_.one_in(2) ? first_within : std::uint8_t{1}), 5353};
    if (dice_.one_in(4)) to = {external_host(v6, 0), forwarded};
    policy.redirects.push_back(
        {one_of<std::uint8_t>({ip::tcp, ip::udp}), {remote_host(v6, 4), from}, to, range});
  }
  if (dice_.one_in(3)) {
    const std::uint8_t protocol = one_of<std::uint8_t>({ip::tcp, ip::udp});
    const std::uint16_t port = one_of<std::uint16_t>({forwarded, 40002, 80});
    policy.forwards.push_back({protocol,
                               {external_host(v6, 0), port},
                               tenant,
                               {internal_host(v6, 1), 1000},
                               one_of({0u, 0u, 1u, 2u, 5u})});
  }
}

Step Generator::any_flow(NamespaceRange tenants) {
  Step step;
  step.v6 = dice_.one_in(2);
  step.protocol = one_of({ip::tcp, ip::tcp, ip::udp, ip::udp, ip::icmp});
  if (dice_.one_in(12)) step.protocol = ip::gre;
  const auto internal = [&] {
    const NamespaceId count = tenants.last - tenants.first + 1;
    return Internal{.tenant = tenants.first + dice_.below(count),
                    .host = static_cast<std::uint8_t>(dice_.below(2)),
                    .port = internal_ports[dice_.below(std::size(internal_ports))]};
  };
  step.from = internal();
  step.peer = internal();
  step.remote = static_cast<std::uint8_t>(dice_.below(5));
  step.remote_port = remote_ports[dice_.below(std::size(remote_ports))];
  if (dice_.one_in(5)) step.remote = peer_remote;
  return step;
}

// Mostly one that has a session, or had one.
Step Generator::flow(const Model& model, NamespaceRange tenants) {
  if (dice_.one_in(4)) return any_flow(tenants);
  const auto& sessions = model.sessions();
  if (!sessions.empty() && !dice_.one_in(3)) {
    const auto count = static_cast<std::uint32_t>(sessions.size());
    const ModelSession& session = *std::next(sessions.begin(), dice_.below(count));
    if (const auto step = flow_of(session, model)) return *step;
  }
  if (recent_.empty()) return any_flow(tenants);
  const Step& before = recent_[dice_.below(static_cast<std::uint32_t>(recent_.size()))];
  return {.v6 = before.v6,
          .protocol = before.protocol,
          .from = before.from,
          .remote = before.remote,
          .remote_port = before.remote_port,
          .peer = before.peer};
}

// Something near a flow: another remote, another port of it, the answer's way.
void Generator::vary(Step& step) {
  if (dice_.one_in(6)) step.remote = static_cast<std::uint8_t>(dice_.below(3));
  if (dice_.one_in(6)) step.remote_port = remote_ports[dice_.below(std::size(remote_ports))];
  if (dice_.one_in(40)) {
    step.remote = static_cast<std::uint8_t>(first_impossible + dice_.below(impossible_count));
  }
  if (dice_.one_in(60)) step.remote_port = 0;
  if (dice_.one_in(60)) step.from.port = 0;
}

// Sequence numbers that are just right, or just wrong.
void Generator::aim(Step& step, const Model& model) {
  TcpFields& fields = step.tcp;
  const bool outbound = step.what == What::out;
  fields.flags =
      dice_.one_in(3)
          ? flag::syn
          : one_of<std::uint8_t>({flag::syn | flag::ack, flag::ack, flag::ack,
                                  flag::ack | flag::psh, flag::fin | flag::ack,
                                  flag::fin | flag::ack, flag::rst, flag::rst | flag::ack,
                                  flag::fin, 0, flag::syn | 0xc0, flag::syn | flag::rst});
  fields.window = one_of<std::uint16_t>({0, 1, 1000, 65535});
  fields.scale = one_of({-1, -1, 0, 2, 14, 15});
  fields.reserved = dice_.one_in(8) ? static_cast<std::uint8_t>(dice_.below(16)) : std::uint8_t{0};
  fields.sequence = one_of({outbound ? 1000u : 5000u, 0xffff'fffeu, dice_()});
  fields.acknowledgment = dice_.one_in(2) ? 0 : dice_();
  const Internal& from = step.from;
  for (const ModelSession& one : model.sessions()) {
    if (one.tenant != from.tenant || one.protocol != ip::tcp || one.internal.port != from.port)
      continue;
    if (dice_.one_in(3)) continue;
    const Side sender = outbound ? Side::internal : Side::remote;
    const Side receiver = outbound ? Side::remote : Side::internal;
    const std::uint32_t window = one.tcp.window(receiver);
    fields.sequence = one.tcp.expected(receiver) +
                      one_of({0u, 0u, 0u, 1u, window / 2, window, window + 1, 0xffff'ffffu});
    fields.acknowledgment =
        one.tcp.expected(sender) + one_of({0u, 1u, 2u, 3u, 0xffff'ffffu, 1000u});
    if (const auto answer = one.tcp.answer_to_claim(sender); answer && dice_.one_in(2)) {
      fields.sequence = answer->sequence + one_of({0u, 0u, 1u, 70'000u});
      fields.acknowledgment = answer->acknowledgment + one_of({0u, 0u, 0u, 1u, 70'000u});
      if (answer->is_to_syn && dice_.one_in(2)) fields.flags = flag::syn | flag::ack;
    }
    return;
  }
}

void Generator::dress(Step& step) {
  Look& look = step.look;
  if (dice_.one_in(4)) look.payload = static_cast<std::uint16_t>(dice_.below(4));
  if (dice_.one_in(20)) look.payload = static_cast<std::uint16_t>(dice_.below(1400));
  if (dice_.one_in(10)) look.ttl = static_cast<std::uint8_t>(1 + dice_.below(255));
  if (dice_.one_in(10)) look.option_words = static_cast<std::uint8_t>(dice_.below(11));
  look.may_be_cut = dice_.one_in(8);
  if (dice_.one_in(10)) look.trailing = static_cast<std::uint8_t>(dice_.below(9));
  if (!dice_.one_in(6)) return;
  look.sum = one_of({Sum::damaged, Sum::absent, Sum::partial, Sum::segmented, Sum::header_damaged});
  if (look.sum == Sum::absent && (step.protocol != ip::udp || step.v6)) look.sum = Sum::damaged;
  if (look.sum == Sum::segmented && step.protocol != ip::tcp && step.protocol != ip::udp) {
    look.sum = Sum::partial;
  }
}

// Into fragments; what is not whole has no part of a sum to be filled in.
void Generator::cut(Step& step) {
  constexpr std::uint32_t payload_min = 64;  // that more than headers is left for each
  const bool is_error = step.what == What::error_in || step.what == What::error_out;
  const bool is_partial = step.look.sum == Sum::partial || step.look.sum == Sum::segmented;
  if (is_error || is_partial) return;
  step.pieces = static_cast<std::uint8_t>(2 + dice_.below(3));
  step.arrival = one_of({Arrival::in_order, Arrival::last_first, Arrival::first_twice});
  step.look.payload = static_cast<std::uint16_t>(payload_min + dice_.below(1000));
}

Step Generator::packet(const Model& model, NamespaceRange tenants) {
  Step step = flow(model, tenants);
  if (!model.owns_ports() && step.protocol == ip::gre) step.protocol = ip::udp;
  vary(step);
  step.what = one_of({What::out, What::out, What::out, What::in, What::in, What::in});
  if (dice_.one_in(10)) step.what = one_of({What::error_in, What::error_out});
  if (step.remote == peer_remote && dice_.one_in(2)) std::swap(step.from, step.peer);
  // A peer's packets come as its own outbound ones.
  if (step.remote == peer_remote && step.what == What::in) step.what = What::out;
  if (model.owns_ports() && step.what == What::in && dice_.one_in(12)) {
    const PortRange ports = model.policy().ports.envelope();
    step.guess =
        static_cast<std::uint16_t>(ports.first + dice_.below(ports.last - ports.first + 1u));
  }
  step.early = dice_.one_in(6);
  step.raw = dice_.one_in(20);
  if (step.protocol == ip::tcp) aim(step, model);
  dress(step);
  if (model.owns_ports() && dice_.one_in(8)) cut(step);
  if (step.what == What::error_in || step.what == What::error_out) {
    step.error = static_cast<std::uint8_t>(dice_.below(4));
    step.quoted = one_of<std::uint16_t>({28, 36, 45, 576});
    if (step.v6) step.quoted = one_of<std::uint16_t>({48, 56, 576});
    step.look.trailing = 0;
    step.by_host = dice_.one_in(2);
  }
  if (step.what == What::out) recent_.push_back(step);
  if (recent_.size() > recent_max) recent_.pop_front();
  return step;
}

Step Generator::travel(const Model& model, Time now) {
  Step step{.what = What::travel};
  const auto& sessions = model.sessions();
  switch (dice_.below(4)) {
    case 0:
      step.time = Time{dice_.below(4)};
      break;
    case 1: {
      if (sessions.empty()) break;
      const auto count = static_cast<std::uint32_t>(sessions.size());
      const ModelSession& one = *std::next(sessions.begin(), dice_.below(count));
      const Time left = one.last_active + model.timeout_of(one) - now;
      step.time = std::max(Time{0}, left + Time{one_of({-1, -1, 0, 0, 600, 1200})});
      break;
    }
    case 2:
      step.time = Time{dice_.below(1500)};
      break;
    default:
      step.time = Time{dice_.below(70'000)};
      break;
  }
  return step;
}

// Two parts or so: all of them would mean one session at most.
Step Generator::flush(const Model& model, NamespaceRange tenants) {
  Step step = flow(model, tenants);
  step.what = What::flush;
  for (std::uint32_t i = dice_.below(4); i > 0; --i) {
    step.parts = static_cast<std::uint16_t>(step.parts | 1u << dice_.below(part::count));
  }
  if (dice_.one_in(3)) step.time = one_of({Time{1}, Time{500}, Time{5000}});
  return step;
}

Step Generator::next(const Model& model, std::size_t policies, Time now) {
  if (dice_.one_in(7)) return travel(model, now);
  if (dice_.one_in(20)) return {.what = What::sweep};
  if (policies > 1 && dice_.one_in(40)) {
    return {.what = What::configure, .policy = dice_.below(static_cast<std::uint32_t>(policies))};
  }
  if (dice_.one_in(40)) return flush(model, {1, tenant_max});
  return packet(model, {1, tenant_max});
}

}  // namespace swnat::property
