#include "tests/support/gateway.h"

#include <algorithm>

namespace swnat::test {

Policy roomy_policy() {
  Policy policy;
  policy.external.v4 = {external_host};
  policy.namespaces = {{.first = 1, .last = 64, .session_limit = 1'000'000, .external = {}}};
  return policy;
}

Policy policy_with(Filtering filtering) {
  Policy policy = roomy_policy();
  policy.filtering = filtering;
  return policy;
}

Policy policy_with(PortRanges ports) {
  Policy policy = roomy_policy();
  policy.ports = std::move(ports);
  return policy;
}

EngineOptions options_of(std::uint32_t shards, std::uint32_t max_sessions) {
  return {.shards = shards,
          .max_sessions = max_sessions,
          .secret = {0x8d1c'66f2'03b9'e5a7, 0x2e4b'97d0'f16a'385d, 0xc70f'5b21'9e84'd36b,
                     0x59a3'e81c'470d'b2f6}};
}

Outcome Gateway::translate(Direction direction, NamespaceId id, Bytes bytes,
                           ChecksumState checksum) {
  Packet packet{.bytes = bytes, .namespace_id = id, .direction = direction, .checksum = checksum};
  engine.translate({&packet, 1}, now);
  return {packet.reason, std::move(bytes), packet.namespace_id};
}

Peer Gateway::open(std::uint8_t protocol, NamespaceId id, Peer internal, Peer remote) {
  const Outcome sent = out(id, opening(protocol, internal, remote));
  REQUIRE_EQ(sent.reason, Reason::translated_outbound);
  return sent.source();
}

bool Gateway::answers(std::uint8_t protocol, Peer remote, Peer external, NamespaceId id,
                      Peer internal) {
  const Outcome received = in(answer(protocol, remote, external));
  if (!received.accepted()) return false;
  CHECK_EQ(received.destination(), internal);
  CHECK_EQ(received.namespace_id, id);
  return received.destination() == internal && received.namespace_id == id;
}

void Gateway::expire_all() {
  constexpr std::uint32_t budget = 100;
  for (std::uint32_t shard = 0; shard < engine.shard_count(); ++shard) {
    while (engine.expire(shard, now, budget) == budget) {
    }
  }
}

void Gateway::expire_after(Time duration) {
  travel(duration);
  expire_all();
  // The wheel looks at a session once more when its time is over.
  travel(1s);
  expire_all();
}

void Gateway::end_all(Time after) {
  expire_after(after);
  REQUIRE_EQ(engine.session_count(), 0);
}

std::vector<SessionView> Gateway::sessions() {
  std::vector<SessionView> all;
  SessionView page[7];
  Engine::Cursor cursor;
  while (const auto count = engine.sessions(cursor, page, now)) {
    all.insert(all.end(), page, page + *count);
  }
  return all;
}

std::uint32_t Gateway::session_count(NamespaceId id) {
  for (const NamespaceUse& use : engine.namespaces()) {
    if (use.id == id) return use.sessions;
  }
  return 0;
}

NamespaceUse Gateway::use_of(NamespaceId id) const {
  const auto uses = engine.namespaces();
  return *std::ranges::find(uses, id, &NamespaceUse::id);
}

}  // namespace swnat::test
