// Who has to go when a namespace is at its limit: of all its sessions, in whichever shard and
// family, the one that goes before the others (Standing in session.h).
//
// Theory of operation
//
// Each shard knows its own first to go (session/activity.h). The one to end is the first of these,
// and it is looked for shard by shard, since no thread ever holds two shards' locks: so it is ended
// only if it still stands as it did. A shard that has all of a namespace's sessions asks nobody
// else (Sessions::evict_if_all_are_here).
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "engine/shard.h"
#include "swnat/session_view.h"

namespace swnat {

class Eviction {
 public:
  using AnyShard = std::variant<Shard<Ipv4>*, Shard<Ipv6>*>;

  // All must be there before the first packet.
  void add(AnyShard shard) { shards_.push_back(shard); }

  enum class Result : std::uint8_t {
    tried,    // the session that has to go first was to end, if it still stood as it did
    nobody,   // there is none
    in_vain,  // it would not leave what is wanted
  };
  // What make_room() would come to, and the session that would end, with its shard's number in its
  // family. Ends none.
  struct Foretold {
    Result result = Result::nobody;
    std::optional<SessionView> session = {};
    std::uint32_t shard = 0;
  };
  Foretold foretell(const RoomWanted& wanted, Tick now);
  // Any thread, with no shard's lock.
  Result make_room(const RoomWanted& wanted, Tick now);
  // Ends as many as there are beyond the limit.
  void enforce(NamespaceUses& uses, std::uint32_t slot, std::uint32_t limit, Tick now);

 private:
  struct First {
    const AnyShard* owner = nullptr;
    Candidate candidate;
    Result result = Result::nobody;
  };
  First first_to_go(const RoomWanted& wanted);

  std::vector<AnyShard> shards_;
};

}  // namespace swnat
