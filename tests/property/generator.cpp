#include "tests/property/generator.h"

#include <algorithm>

namespace swnat::property {
namespace {

constexpr std::size_t recent_max = 12;
constexpr NamespaceId tenant_max = 3;

// Beside the ports, so that some are kept where ports are, of both parities and classes.
constexpr std::uint16_t internal_ports[] = {1000, 1001, 40000, 40001, 40006, 600, 50007};
constexpr std::uint16_t remote_ports[] = {80, 443};

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
    const NamespacePolicy like = one.namespaces.front();
    one.namespaces.clear();
    for (NamespaceId id = 1; id <= tenants; ++id) {
      one.namespaces.push_back(like);
      one.namespaces.back().first = one.namespaces.back().last = id;
      one.namespaces.back().session_limit = one_of({2u, 4u, 9u, 200u});
    }
  }
  return setup;
}

Policy Generator::policy() {
  Policy policy = plain_policy();
  policy.external.v4.clear();
  for (std::uint8_t i = 0; i <= dice_.below(3); ++i) {
    policy.external.v4.push_back(std::get<Ipv4Address>(external_host(false, i)));
    if (!engine_supports.ipv6) continue;
    policy.external.v6.push_back(std::get<Ipv6Address>(external_host(true, i)));
  }
  if (dice_.one_in(3)) {
    policy.ports = {};
  } else {
    const auto first = one_of<int>({40000, 40001, 40013, 1010, 65530});
    const int last = std::min<int>(first + static_cast<int>(dice_.below(24)), 65535);
    policy.ports = {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)};
  }
  if (engine_supports.address_and_port_dependent_mapping && dice_.one_in(3)) {
    policy.mapping = Mapping::address_and_port_dependent;
  }
  policy.port_rest = Time{0};
  if (engine_supports.port_rest) policy.port_rest = one_of({Time{0}, Time{1000}, Time{120'000}});
  choose_namespaces(policy);
  return changed(policy);
}

void Generator::choose_namespaces(Policy& policy) {
  policy.namespaces.clear();
  for (NamespaceId id = 1; id <= tenant_max; ++id) {
    NamespacePolicy own{.first = id, .last = id};
    if (id == 2 && dice_.one_in(2)) own.last = id = 3;
    if (dice_.one_in(3)) own.external.v4 = {policy.external.v4.back()};
    if (engine_supports.ipv6 && dice_.one_in(3)) own.external.v6 = {policy.external.v6.front()};
    policy.namespaces.push_back(own);
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
  }
  if (policy.namespaces.size() > 1 && dice_.one_in(4)) policy.namespaces.pop_back();
  choose_rules(policy);
  return policy;
}

void Generator::choose_rules(Policy& policy) {
  policy.drops.clear();
  policy.redirects.clear();
  policy.forwards.clear();
  const bool v6 = engine_supports.ipv6 && dice_.one_in(2);
  for (NamespacePolicy& one : policy.namespaces) {
    one.inside = {within_network(v6)};
    one.untranslated.clear();
    if (engine_supports.untranslated && dice_.one_in(3)) {
      one.untranslated = {untranslated_remote(v6)};
    }
  }
  const NamespaceId tenant = policy.namespaces.front().first;
  const NamespaceRange range = dice_.one_in(2) ? NamespaceRange{} : NamespaceRange{tenant, tenant};
  if (engine_supports.drops && dice_.one_in(3)) {
    policy.drops.push_back({one_of<std::uint8_t>({ip::tcp, ip::udp, ip::icmp}), {443, 500}, range});
  }
  if (engine_supports.redirects && dice_.one_in(3)) {
    const std::uint8_t protocol = one_of<std::uint8_t>({ip::tcp, ip::udp});
    const std::uint8_t to = dice_.one_in(2) ? first_within : std::uint8_t{1};
    policy.redirects.push_back(
        {protocol, {remote_host(v6, 4), 80}, {remote_host(v6, to), 5353}, range});
    policy.hairpin = true;
  }
  if (engine_supports.forwards && dice_.one_in(3)) {
    const std::uint8_t protocol = one_of<std::uint8_t>({ip::tcp, ip::udp});
    const std::uint16_t port = one_of<std::uint16_t>({40080, 40002, 80});
    policy.forwards.push_back(
        {protocol, {external_host(v6, 0), port}, tenant, {internal_host(v6, 1), 1000}});
  }
}

Step Generator::flow(NamespaceRange tenants) {
  Step step;
  step.v6 = engine_supports.ipv6 && dice_.one_in(2);
  step.protocol = one_of({ip::tcp, ip::tcp, ip::udp, ip::udp, ip::icmp});
  if (engine_supports.other_protocols && dice_.one_in(12)) step.protocol = ip::gre;
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
  const bool can_hairpin =
      step.protocol == ip::tcp || step.protocol == ip::udp || engine_supports.hairpin_echo;
  if (can_hairpin && dice_.one_in(5)) step.remote = peer_remote;
  return step;
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
    return;
  }
}

void Generator::dress(Step& step) {
  Look& look = step.look;
  if (dice_.one_in(4)) look.payload = static_cast<std::uint16_t>(dice_.below(4));
  if (dice_.one_in(20)) look.payload = static_cast<std::uint16_t>(dice_.below(1400));
  if (dice_.one_in(10)) look.ttl = static_cast<std::uint8_t>(1 + dice_.below(255));
  if (!step.v6 && dice_.one_in(10)) look.option_words = static_cast<std::uint8_t>(dice_.below(11));
  if (dice_.one_in(10)) look.trailing = static_cast<std::uint8_t>(dice_.below(9));
  if (!dice_.one_in(6)) return;
  look.sum = one_of({Sum::damaged, Sum::absent, Sum::partial, Sum::segmented, Sum::header_damaged});
  if (look.sum == Sum::absent && (step.protocol != ip::udp || step.v6)) look.sum = Sum::damaged;
  if (look.sum == Sum::segmented && step.protocol != ip::tcp && step.protocol != ip::udp) {
    look.sum = Sum::partial;
  }
}

Step Generator::packet(const Model& model, NamespaceRange tenants) {
  Step step = flow(tenants);
  if (!recent_.empty() && !dice_.one_in(3)) {
    const Step& before = recent_[dice_.below(static_cast<std::uint32_t>(recent_.size()))];
    step.v6 = before.v6;
    step.protocol = before.protocol;
    step.from = before.from;
    step.remote = before.remote;
    step.remote_port = before.remote_port;
    step.peer = before.peer;
  }
  vary(step);
  step.what = one_of({What::out, What::out, What::out, What::in, What::in, What::in});
  if (dice_.one_in(10)) step.what = one_of({What::error_in, What::error_out});
  // A peer's packets come as its own outbound ones.
  if (step.remote == peer_remote && step.what == What::in) std::swap(step.from, step.peer);
  if (step.remote == peer_remote && step.what == What::in) step.what = What::out;
  if (model.owns_ports() && step.what == What::in && dice_.one_in(12)) {
    const PortRange ports = model.policy().ports;
    step.guess =
        static_cast<std::uint16_t>(ports.first + dice_.below(ports.last - ports.first + 1u));
  }
  if (step.protocol == ip::tcp) aim(step, model);
  dress(step);
  if (step.what == What::error_in || step.what == What::error_out) {
    step.error = static_cast<std::uint8_t>(dice_.below(4));
    step.quoted = one_of<std::uint16_t>({28, 36, 45, 576});
    if (step.v6) step.quoted = one_of<std::uint16_t>({48, 56, 576});
    step.look.trailing = 0;
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

Step Generator::next(const Model& model, std::size_t policies, Time now) {
  if (dice_.one_in(7)) return travel(model, now);
  if (dice_.one_in(20)) return {.what = What::sweep};
  if (policies > 1 && dice_.one_in(40)) {
    return {.what = What::configure, .policy = dice_.below(static_cast<std::uint32_t>(policies))};
  }
  return packet(model, {1, tenant_max});
}

}  // namespace swnat::property
