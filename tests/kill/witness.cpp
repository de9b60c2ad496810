#include "tests/kill/witness.h"

#include <cstring>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>

#include "engine/wire/headers.h"

namespace swnat::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t newcomers = 16;

bool is_v6(const IpEndpoint& endpoint) {
  return std::holds_alternative<Ipv6Address>(endpoint.address);
}

// Every dialogue has a remote of its own; see dialogue.cpp.
std::uint64_t key_of(NamespaceId id, std::uint8_t protocol, const IpEndpoint& remote) {
  std::uint32_t address = 0;  // the last octets
  if (const auto* v6 = std::get_if<Ipv6Address>(&remote.address)) {
    std::memcpy(&address, v6->octets().data() + 12, sizeof address);
  } else {
    address = std::get<Ipv4Address>(remote.address).wire;
  }
  return std::uint64_t{is_v6(remote)} << 63 | std::uint64_t{id} << 40 |
         std::uint64_t{protocol} << 32 | address;
}

using External = std::tuple<bool, std::uint8_t, std::uint16_t>;

External external_of(const SessionView& view) {
  return {is_v6(view.external), view.protocol, view.external.port};
}

[[noreturn]] void fail(const SessionView& view, const std::string& what) {
  throw std::runtime_error(
      what + " (namespace " + std::to_string(view.namespace_id) + ", protocol " +
      std::to_string(view.protocol) + ", " + (is_v6(view.internal) ? "IPv6" : "IPv4") +
      ", internal port " + std::to_string(view.internal.port) + ", external port " +
      std::to_string(view.external.port) + ", " + std::string(view.state) + ")");
}

void require(bool condition, const Dialogue& dialogue, const std::string& what) {
  if (condition) return;
  SessionView view;
  view.namespace_id = dialogue.namespace_id;
  view.protocol = dialogue.protocol;
  view.internal = dialogue.internal;
  fail(view, what);
}

// Memory of the witness's own, aligned as the engine asks for.
struct alignas(64) Line {
  std::byte bytes[64];
};

}  // namespace

Witness::Witness(Ledger& ledger, std::span<const Repertoire> repertoires, std::uint32_t seed)
    : ledger_(ledger), random_(seed) {
  const auto know = [this](const std::vector<Dialogue>& dialogues, std::span<Entry> entries) {
    for (std::size_t i = 0; i < dialogues.size(); ++i) {
      const Dialogue& one = dialogues[i];
      known_[key_of(one.namespace_id, one.protocol, one.remote)] = {&one, &entries[i]};
    }
  };
  for (std::size_t worker = 0; worker < repertoires.size(); ++worker) {
    know(repertoires[worker].roomy, ledger.roomy[worker]);
    know(repertoires[worker].crowded, ledger.crowded[worker]);
  }
  for (std::uint16_t port = 3000; port < 3000 + newcomers; ++port) {
    const Peer internal{Host::of(10, 0, 0, 3), port};
    const Peer remote{Host::of(198, 51, 100, 7), 443};
    const std::uint8_t protocol = port % 2 == 0 ? protocol::udp : protocol::tcp;
    const IpVersion version = port % 4 < 2 ? IpVersion::v4 : IpVersion::v6;
    newcomers_.push_back(dialogue_of(new_namespace, version, protocol, internal, remote));
  }
}

void Witness::examine(std::span<const std::byte> memory) {
  std::vector<Line> lines((memory.size() + sizeof(Line) - 1) / sizeof(Line));
  const auto copy = std::as_writable_bytes(std::span(lines));
  std::copy(memory.begin(), memory.end(), copy.begin());
  Engine engine(kill_options(copy.first(memory.size()), random_(), now()),
                std::make_shared<const Policy>(kill_policy()));
  examine_counts(engine, sessions_at(engine, now()));
  const std::vector<SessionView> live = sessions_at(engine, now());
  examine_owners(live);
  examine_answers(engine, live);
  examine_new_ports(engine, live);
  if (random_.one_in(8)) examine_end(engine);
  examine_fates(live);
}

std::vector<SessionView> Witness::sessions_at(const Engine& engine, Time time) const {
  std::vector<SessionView> all(ledger_.entries_max * workers * 2 + 1);
  std::size_t size = 0;
  Engine::Cursor cursor;
  while (const auto count = engine.sessions(cursor, std::span(all).subspan(size), time)) {
    size += *count;
  }
  all.resize(size);
  return all;
}

// Counts agree with what is there, and nobody is beyond the limit.
void Witness::examine_counts(const Engine& engine, std::span<const SessionView> all) const {
  std::map<NamespaceId, std::uint32_t> counts;
  for (const SessionView& view : all) ++counts[view.namespace_id];
  for (const NamespaceUse& use : engine.namespaces()) {
    const std::string name = "namespace " + std::to_string(use.id);
    if (use.sessions != counts[use.id]) {
      throw std::runtime_error(name + " counts " + std::to_string(use.sessions) +
                               " sessions, but has " + std::to_string(counts[use.id]));
    }
    if (use.sessions > use.session_limit) throw std::runtime_error(name + " is over its limit");
  }
  if (engine.session_count() != all.size()) throw std::runtime_error("session_count() is wrong");
}

// An external endpoint has one internal endpoint, and the other way round.
void Witness::examine_owners(std::span<const SessionView> live) const {
  using Internal = std::tuple<NamespaceId, bool, std::uint8_t, std::uint16_t>;
  std::map<External, Internal> owners;
  std::map<Internal, std::uint16_t> ports;
  std::set<const Entry*> seen;
  for (const SessionView& view : live) {
    if (!seen.insert(known_of(view).entry).second) fail(view, "a session is there twice");
    const Internal internal{view.namespace_id, is_v6(view.internal), view.protocol,
                            view.internal.port};
    const auto [owner, is_new] = owners.try_emplace(external_of(view), internal);
    if (!is_new && owner->second != internal) fail(view, "an external endpoint has two owners");
    const auto [port, is_first] = ports.try_emplace(internal, view.external.port);
    if (!is_first && port->second != view.external.port) {
      fail(view, "an internal endpoint has two external ones");
    }
  }
}

const Witness::Known& Witness::known_of(const SessionView& view) const {
  const std::uint64_t key = key_of(view.namespace_id, view.protocol, view.remote);
  const auto found = known_.find(key);
  if (found == known_.end() || found->second.dialogue->internal != view.internal ||
      found->second.dialogue->remote != view.remote ||
      view.external.address != external_address(view.internal.address)) {
    fail(view, "a session that nobody made");
  }
  return found->second;
}

void Witness::examine_answers(Engine& engine, std::span<const SessionView> live) const {
  for (const SessionView& view : live) {
    Bytes packet = known_of(view).dialogue->replied;
    set_destination_port(packet, view.external.port);
    const Engine::Outcome received = engine.inbound(packet, now());
    if (verdict_of(received.reason) != Verdict::accept) {
      fail(view, "an answer is dropped as " + std::string(info(received.reason).name));
    }
    if (received.namespace_id != view.namespace_id || destination_in(packet) != view.internal) {
      fail(view, "an answer reaches somebody else");
    }
  }
}

// Ports that are in use are not handed out again.
void Witness::examine_new_ports(Engine& engine, std::span<const SessionView> live) const {
  std::set<External> used;
  for (const SessionView& view : live) used.insert(external_of(view));
  for (const Dialogue& one : newcomers_) {
    Bytes packet = one.opening;
    const Reason reason = engine.outbound(packet, one.namespace_id, now()).reason;
    require(verdict_of(reason) == Verdict::accept, one, "a new session is refused");
    require(used.insert({is_v6(one.internal), one.protocol, source_port_of(packet)}).second, one,
            "a port is handed out again");
  }
}

// When all timeouts are over, so are all sessions.
void Witness::examine_end(Engine& engine) const {
  constexpr std::uint32_t budget = 1000;
  for (const Time later : {3h, 4h, 5h}) {
    for (std::uint32_t shard = 0; shard < engine.shard_count(); ++shard) {
      while (engine.expire(shard, now() + later, budget) == budget) {
      }
    }
  }
  if (engine.session_count() != 0) throw std::runtime_error("sessions outlive their timeouts");
}

void Witness::examine_fates(std::span<const SessionView> live) {
  std::unordered_map<const Entry*, const SessionView*> found;
  for (const SessionView& view : live) found[known_of(view).entry] = &view;
  for (const auto& [key, known] : known_) {
    const auto at = found.find(known.entry);
    examine_fate(known, at == found.end() ? nullptr : at->second);
  }
}

void Witness::examine_fate(const Known& known, const SessionView* view) {
  const Dialogue& dialogue = *known.dialogue;
  Entry& entry = *known.entry;
  // A session whose time was over may have been freed, and been made again by the call that was
  // under way.
  const bool may_be_over = now().count() - entry.active >= dialogue.timeout;
  const Fate fate = entry.fate;
  require(fate != Fate::absent || view == nullptr, dialogue, "an ended session is back");
  require(fate != Fate::present || view != nullptr || may_be_over, dialogue, "a session is lost");
  if (view == nullptr) {
    entry.fate = Fate::absent;
    return;
  }
  const std::int64_t active = (now() - view->idle).count();
  if (fate == Fate::present) {
    require(view->external.port == entry.port || may_be_over, dialogue,
            "a session has another external port");
    require(active == entry.active || active == entry.next_active, dialogue,
            "a session was active at another time");
    require(dialogue.protocol != protocol::tcp || view->state == "established", dialogue,
            "a session is " + std::string(view->state));
  }
  const bool is_whole = dialogue.protocol != protocol::tcp || view->state == "established";
  entry.port = view->external.port;
  entry.active = active;
  entry.next_active = active;
  entry.fate = is_whole ? Fate::present : Fate::ending;
}

}  // namespace swnat::test
