// The NAT engine: the one class that users of the library need.
//
// It does no I/O, reads no clock, logs nothing and starts no thread; packets allocate nothing.
// Every function may be called from any thread at any time: the engine is a number of
// single-threaded NATs (shards), each behind its own lock, and a packet meets the one that its port
// names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "swnat/address_text.h"
#include "swnat/engine_options.h"
#include "swnat/event.h"
#include "swnat/icmp_answer.h"
#include "swnat/mapping_view.h"
#include "swnat/outlook.h"
#include "swnat/packet.h"
#include "swnat/policy.h"
#include "swnat/protocol.h"
#include "swnat/reason.h"
#include "swnat/session_pattern.h"
#include "swnat/session_view.h"
#include "swnat/time.h"
#include "swnat/traffic.h"
#include "swnat/usage.h"

namespace swnat {

// A session as its namespace names it.
struct SessionName {
  NamespaceId namespace_id = 0;
  std::uint8_t protocol = 0;
  IpEndpoint internal;
  IpEndpoint remote;
};

class Engine {
 public:
  // Takes over the sessions that the session memory holds, as far as the policy still has their
  // namespace and their time is not over. Throws std::invalid_argument for options or a policy that
  // break their documented ranges, SessionMemoryError, and std::bad_alloc.
  Engine(const EngineOptions& options, const std::shared_ptr<const Policy>& policy);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Throws std::invalid_argument for options out of their ranges. Of the policy, the families that
  // it has external addresses of count.
  static std::size_t session_memory_size(const EngineOptions& options, const Policy& policy);
  // Bytes that the engine may come to need beside the session memory, with all its sessions, ports
  // and fragments; with `populate` it takes them at once. Throws as session_memory_size() does.
  static std::size_t memory_size(const EngineOptions& options, const Policy& policy);

  // Why an engine could not take over what these bytes hold; nothing if it can, or if they hold
  // nothing yet. They may be of any size, and of anybody. Throws as session_memory_size() does.
  static std::optional<std::string> session_memory_fault(const EngineOptions& options,
                                                         const Policy& policy,
                                                         std::span<const std::byte> memory);
  // For who brings session memory from another machine, or over a restart of one: makes that of
  // options.session_memory one of options.time_epoch, of which `now` is what `then` was on the
  // clock that its sessions are from. All but the clock must be as this engine's. Throws
  // SessionMemoryError, having changed nothing; if the process ends meanwhile, the memory is of no
  // use any more, so keep a copy.
  static void rebase_session_memory(const EngineOptions& options, const Policy& policy, Time then,
                                    Time now);
  // What session memory keeps, also if it is of another configuration or clock, so that pairing may
  // outlive a change of these. Nothing if it keeps none.
  static std::optional<PairingKey> pairing_key(std::span<const std::byte> session_memory);

  // Translates packets in place, in order within each session. Established sessions are found for
  // the whole batch at once, so that their memory is fetched side by side; any number of packets
  // may be given.
  void translate(std::span<Packet> packets, Time now);

  // The one-packet forms. What comes of the packet is as Packet has it.
  struct Outcome {
    Reason reason;
    NamespaceId namespace_id;
    std::uint64_t datagram;

    Verdict verdict() const { return verdict_of(reason); }
  };
  Outcome outbound(std::span<std::uint8_t> bytes, NamespaceId namespace_id, Time now);
  Outcome inbound(std::span<std::uint8_t> bytes, Time now);

  // Does for the session of this name what a packet would that its host sends, but sends nothing:
  // it is kept alive, or made as the first packet makes it, in its opening state. Rules, limits and
  // pairing hold, and `reason` is why there is none, or that packet's. A TCP connection's state
  // stays as it is, and no traffic is counted. The remote is none of the external addresses, which
  // are for hairpins. Throws std::invalid_argument for other protocols than TCP and UDP, and for
  // ends of two families.
  struct Kept {
    Reason reason;
    IpEndpoint external;  // of the session, if there is one

    bool has_session() const { return reason == Reason::translated_outbound; }
  };
  Kept keep_session(const SessionName& name, Time now);

  // Frees sessions whose time is over, looking at no more than `budget` sessions in the shard.
  // Expired sessions never match a packet, freed or not. Returns how many were looked at; less than
  // `budget` means that nothing is due. Call it for every shard, about once a second or when idle.
  // The first packet or call of this after more than a week without either ends all sessions.
  std::uint32_t expire(std::uint32_t shard, Time now, std::uint32_t budget);

  // Replaces the policy. Sessions live on, except those of namespaces that are gone, of namespaces
  // or forwards that are now over their limit, and those that its rules would not have let come
  // about as they are. Port blocks keep their size. Throws std::invalid_argument if external
  // addresses, ports or mapping differ, if there were port blocks and are to be none, or the other
  // way round, if the policy is not valid, or a namespace is new beyond the number that fits, and
  // then changes nothing.
  void set_policy(const std::shared_ptr<const Policy>& policy, Time now);

  // Which external endpoint a new forward would best have: that of the mapping which `internal` has
  // already, so that both are one (RFC 6887 section 11.3), unless a forward has it; else a free
  // port of `external`, best of all `like`. With address-and-port-dependent mapping a port that
  // only sessions have counts as free. Nothing if there is none, or no such namespace or external
  // address. It is not kept: a packet that comes before the policy that has the forward may take
  // it, and then its session ends by that policy.
  struct ForwardWish {
    NamespaceId namespace_id = 0;
    std::uint8_t protocol = 6;  // 6 or 17
    IpEndpoint internal;
    std::optional<IpAddress> external = {};  // nothing: the address that `internal` is paired with
    std::uint16_t like = 0;
    std::uint64_t random = 0;  // says where to look, so that ports are hard to guess
  };
  std::optional<IpEndpoint> propose_external(const ForwardWish& wish, Time now);

  // From now on no session gets one of these external ports that has none yet: somebody else uses
  // them, on any of the external addresses. Replaces what was withheld of the protocol before.
  // Sessions keep their ports, and forwards theirs; once such a port is free it is withheld too.
  // Throws std::invalid_argument for other protocols than TCP and UDP.
  void withhold(std::uint8_t protocol, const PortBits& ports);

  // Consistent within a shard, not over them.
  Counters counters() const;
  std::uint64_t session_count() const;
  // Since the engine was made; those that it took over were not made by it, but may end.
  std::uint64_t sessions_made() const;
  EndCounts ended_sessions() const;
  std::vector<NamespaceUse> namespaces() const;
  // What the namespaces of the policy have sent and received since the engine was made, sorted by
  // id (traffic.h says what counts). Never less than what was told before, also of a namespace that
  // the policy did not have meanwhile, and never more than what was translated. While no packet
  // comes it is exact; else what comes meanwhile may be missing, and up to 256 packets before that
  // of each session that went on or ended meanwhile. Reads all session records, some thousand under
  // a shard's lock at a time.
  std::vector<NamespaceTraffic> namespace_traffic() const;
  // The same in parts, for who must not be away for so long: begin with a default reading, and call
  // until there is an answer. Each call holds one shard's lock for a bounded time.
  std::optional<std::vector<NamespaceTraffic>> namespace_traffic(TrafficReading& reading) const;
  std::vector<ForwardUse> forwards() const;  // in the policy's order
  // By external address, in the policy's order, and there by port. Consistent within an address.
  std::vector<PortBlockView> port_blocks() const;

  // By external address, in the policy's order, and there TCP, UDP and ICMP.
  std::vector<PortUse> ports(Time now) const;

  // What would become of this packet now, by the same decisions as a real one meets, with nothing
  // made, taken, ended or counted for it. Other packets may change it at once. It looks at one
  // shard after the other, under its lock for a bounded time. Only a real packet frees a few
  // sessions whose time is over before it looks for room (Outlook::is_overdue), takes the port that
  // another thread gives back meanwhile, and ends all sessions where it is the first for more than
  // a week. Throws std::invalid_argument for a protocol that makes no sessions and for ends of two
  // families.
  Outlook outlook(const Question& question, Time now) const;

  // Copies out live sessions that the pattern means, at most `out.size()` of them, starting where
  // `cursor` says (begin with a default one). Returns how many, which may be none, and nothing at
  // the end. Each call looks at some hundred session records under one shard's lock, which it holds
  // no longer than a batch of packets does, whatever it finds. A session that is there from the
  // first call to the last is copied once. Throws std::invalid_argument for a state that no session
  // has, for namespaces that are not sorted and apart, and where there is no room for any.
  struct Cursor {
    std::uint32_t shard = 0;  // counted through both families
    std::uint32_t position = 0;
  };
  std::optional<std::size_t> sessions(const SessionPattern& pattern, Cursor& cursor,
                                      std::span<SessionView> out, Time now) const;
  std::optional<std::size_t> sessions(Cursor& cursor, std::span<SessionView> out,
                                      Time now) const;  // all

  // Copies out mappings that have live sessions, as SessionPattern means them; returns, looks and
  // throws as sessions() does. A mapping is there once if the session that stands for it, mostly
  // its first, lives from the first call to the last; else it may be missing, or be there twice.
  // What it has is the sum of its sessions at one moment if these are few. Of some hundred or more
  // those that there are all the time count once, whatever others do; but what comes and goes
  // meanwhile may count or not, and a connection that its remote began, and that opens or closes
  // meanwhile, may count twice or not.
  std::optional<std::size_t> mappings(const SessionPattern& pattern, MappingCursor& cursor,
                                      std::span<MappingView> out, Time now) const;

  // Ends live sessions that the pattern means, some of them with each call, starting where `cursor`
  // says (begin with a default one). Returns how many, which may be none, and nothing at the end.
  // Each call holds one shard's lock for a bounded time, no longer than a batch of packets does.
  // What is so from the first call to the last is so at the end: a session that was meant all the
  // time is gone, one that never was is there. One that is made meanwhile, or whose state or idle
  // time comes to be what is meant, may be ended or not. The external port rests as it does when a
  // session's time is over, because its remote may go on sending (RFC 6888 REQ-8). Throws as
  // sessions() does.
  std::optional<std::size_t> end_sessions(const SessionPattern& pattern, Cursor& cursor, Time now);

  // From now on events of these kinds are kept for take_events(), at most `capacity` of them (16 to
  // 2^24) in each shard and family, of which a quarter may be refused packets. What finds no room
  // is lost, and told so by an event; packets never wait for the reader. Port blocks have room for
  // `capacity` more. Memory for them is taken here: `capacity` times sizeof(Event) for each shard
  // and family, and for port blocks if there are some, beside memory_size().
  //
  // Called again with the same capacity it changes the kinds and keeps what was not read; another
  // capacity gives that up. Sessions and blocks that are there before, or were taken over at the
  // start, are not told as made or taken, but their end is. Throws std::invalid_argument and
  // std::bad_alloc, and then changes nothing.
  void listen(EventKinds kinds, std::uint32_t capacity);
  // Gives up what was not read, and the memory.
  void stop_listening();
  // Moves events to `out`, at most out.size() of them, and returns how many; 0 means that none
  // waited. A shard's lock is held for as long as it takes to copy some. Those of a session and of
  // its mapping come in the order in which they happened, as do all of one shard and family, and
  // all of port blocks; those of different ones may be in any order, but for their time. There is
  // one reader: each event is given once, whoever asks. `now` must be less than 24 days after any
  // event that waits.
  std::size_t take_events(std::span<Event> out, Time now);

  std::uint32_t shard_count() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace swnat
