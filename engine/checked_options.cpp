#include "engine/checked_options.h"

#include <bit>
#include <stdexcept>

#include "engine/base/hash.h"

namespace swnat {
namespace {

void check(const EngineOptions& options) {
  if (!std::has_single_bit(options.shards) || options.shards > shards_max) {
    throw std::invalid_argument("shards must be a power of two, 1 to 64");
  }
  if (options.max_sessions == 0 || options.max_sessions > sessions_max) {
    throw std::invalid_argument("max_sessions must be 1 to 268435456");
  }
}

// Of which all could be foreseen.
void require_secret(const EngineOptions& options) {
  if (options.secret == decltype(options.secret){}) {
    throw std::invalid_argument("secret must be random, and not all zero");
  }
}

}  // namespace

std::uint32_t capacity_of(const EngineOptions& options) {
  check(options);
  return shard_capacity(options.max_sessions, options.shards);
}

SessionMemoryFormat format_of(const EngineOptions& options, const Policy& policy) {
  return session_memory_format(options.shards, capacity_of(options), policy, options.time_epoch);
}

EngineOptions with_keys(EngineOptions options) {
  require_secret(options);
  options.secret = keys_from(options.secret);
  if (options.pairing_key == PairingKey{}) {
    // Of no use for finding the secret, as it may lie in a file.
    Random random(options.secret);
    for (std::uint64_t& word : options.pairing_key) word = random.next();
  }
  return options;
}

}  // namespace swnat
