// Blocks of ports (RFC 7422): whether each port is in a block of its namespace's, whether a new one
// was needed, and whether blocks rest before another has them.
#include <algorithm>
#include <bit>

#include "tests/property/model.h"

namespace swnat::property {
namespace {

std::uint32_t size_of(const PortBlockView& block) {
  return block.ports.last - block.ports.first + 1u;
}

bool overlap(const PortRange& a, const PortRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

bool is_same(const PortBlockView& a, const PortBlockView& b) {
  return name_of(a) == name_of(b);
}

bool is_in(const IpEndpoint& external, const PortBlockView& block) {
  return block.external == external.address && block.ports.contains(external.port);
}

constexpr int any_rank = 99;

}  // namespace

std::string name_of(const PortBlockView& block) {
  return std::to_string(block.namespace_id) + " " + text(block.external) + " " +
         std::to_string(block.ports.first) + "-" + std::to_string(block.ports.last);
}

bool overlap(const PortBlockView& a, const PortBlockView& b) {
  return a.external == b.external && overlap(a.ports, b.ports);
}

bool Model::is_own(const PortBlockView& block, const ModelSession& session,
                   const IpAddress& external) const {
  return block.namespace_id == session.tenant && block.external == external;
}

// Whether it has rested by now.
bool Model::may_be_gone(const PortBlockView& block) const {
  const auto rest = resting_blocks_.find(name_of(block));
  return rest != resting_blocks_.end() && now_ >= rest->second.earliest + PortLedger::rest;
}

// A port among these that surely is free for the session, and ranks better.
std::optional<std::uint16_t> Model::free_within(const PortRange& ports, const ModelSession& session,
                                                const IpAddress& external, int better_than) const {
  const bool per_remote = policy_.mapping == Mapping::address_and_port_dependent;
  for (std::uint32_t each = ports.first; each <= ports.last; ++each) {
    const auto port = static_cast<std::uint16_t>(each);
    int rank = rank_of(session, port);
    if (rank == 0 && !per_remote) rank = -1;  // looked at alone
    if (rank < 0 || rank >= better_than) continue;
    if (port_state(session, {external, port}) == PortState::free) return port;
  }
  return {};
}

// An aligned run that is in no block and has a port for the session.
std::optional<PortRange> Model::free_run(std::uint32_t size, const ModelSession& session,
                                         const IpAddress& external) const {
  for (std::uint32_t first = 0; first < 65'536; first += size) {
    const PortRange run{static_cast<std::uint16_t>(first),
                        static_cast<std::uint16_t>(first + size - 1)};
    const bool is_taken = std::ranges::any_of(seen_->blocks_before, [&](const auto& block) {
      return block.external == external && overlap(block.ports, run);
    });
    if (!is_taken && free_within(run, session, external, any_rank)) return run;
  }
  return {};
}

void Model::check_port_in_blocks(const ModelSession& session, const IpEndpoint& external) const {
  if (!options_.owns_ports) return;
  const std::vector<PortBlockView> after = witness_.blocks();
  const auto block =
      std::ranges::find_if(after, [&](const auto& one) { return is_in(external, one); });
  if (block == after.end() || !is_own(*block, session, external.address)) {
    throw Disagreement(text(external) + " is in no block of namespace " +
                       std::to_string(session.tenant));
  }
  const int rank = rank_of(session, external.port);
  const bool per_remote = policy_.mapping == Mapping::address_and_port_dependent;
  const std::uint16_t like = session.internal.port;
  const bool may_keep = !per_remote && rank != 0 && policy_.ports.contains(like) &&
                        port_state(session, {external.address, like}) == PortState::free &&
                        std::ranges::any_of(seen_->blocks_before, [&](const PortBlockView& one) {
                          return is_own(one, session, external.address) &&
                                 one.ports.contains(like) && !may_be_gone(one);
                        });
  if (may_keep) throw Disagreement("port " + std::to_string(like) + " was not kept");
  const bool is_new = std::ranges::none_of(seen_->blocks_before,
                                           [&](const auto& one) { return is_same(one, *block); });
  if (is_new) return check_new_block(*block, session, external.address);
  if (per_remote || rank == 0) return;
  if (const auto better = free_within(block->ports, session, external.address, rank)) {
    throw Disagreement("port " + std::to_string(external.port) + " of a block, though " +
                       std::to_string(*better) + " was free there");
  }
}

void Model::check_new_block(const PortBlockView& block, const ModelSession& session,
                            const IpAddress& external) const {
  const std::string taken = "a new block, " + name_of(block) + ", though ";
  std::size_t own = 0;
  for (const PortBlockView& one : seen_->blocks_before) own += is_own(one, session, external);
  const auto is_seen = [&](const PortBlockView& one) {
    if (policy_.mapping == Mapping::endpoint_independent) return true;
    // Of a shard, and by parity, so many are looked at for sure.
    const std::uint32_t ports = size_of(one) / (2 * options_.shards);
    return own == 1 ? ports <= 32 : ports <= 16 / std::max<std::size_t>(1, own - 1);
  };
  for (const PortBlockView& one : seen_->blocks_before) {
    if (!is_own(one, session, external) || may_be_gone(one) || !is_seen(one)) continue;
    if (const auto free = free_within(one.ports, session, external, any_rank)) {
      throw Disagreement(taken + std::to_string(*free) + " was free in " + name_of(one));
    }
  }
  const PortBlockView* rested = nullptr;
  for (const PortBlockView& one : seen_->blocks_before) {
    if (overlap(one, block)) rested = &one;
  }
  // Who is to have none has the smallest.
  const std::uint32_t least = std::max(64u, 2 * options_.shards);
  const std::uint32_t wanted = std::max(policy_of(session.tenant)->port_block, least);
  if (size_of(block) > wanted) throw Disagreement(name_of(block) + " is too large");
  const bool is_early = rested != nullptr && !may_be_gone(*rested);
  // Of what size a run would have been better.
  const std::uint32_t better = is_early ? least : size_of(block) < wanted ? size_of(block) * 2 : 0;
  if (rested != nullptr && !is_early) return;
  if (better == 0) return;
  for (std::uint32_t size = better; size <= wanted; size *= 2) {
    const auto run = free_run(size, session, external);
    // What reaches into the low ports is left to who needs these, while anything else is free.
    const bool is_left = run && !is_early && block.ports.first >= 1024 && run->first < 1024;
    if (run && !is_left) {
      throw Disagreement(taken + std::to_string(run->first) + " to " + std::to_string(run->last) +
                         " was free");
    }
  }
  if (!is_early) return;
  // One that was evicted by this very packet may have been its last.
  const auto known = resting_blocks_.find(name_of(*rested));
  const Time since = known == resting_blocks_.end() ? now_ : known->second.earliest;
  for (const PortBlockView& one : seen_->blocks_before) {
    const auto rest = resting_blocks_.find(name_of(one));
    if (rest == resting_blocks_.end() || one.external != external) continue;
    if (rest->second.latest < since && free_within(one.ports, session, external, any_rank)) {
      throw Disagreement(taken + name_of(one) + " rests longer");
    }
  }
}

// Whether a port could surely be had, of a block that rests too.
bool Model::has_room_in_blocks(const ModelSession& session, const IpAddress& external) const {
  const bool per_remote = policy_.mapping == Mapping::address_and_port_dependent;
  for (const PortBlockView& one : seen_->blocks_before) {
    const bool may_have =
        one.external == external &&
        (one.rests || (!per_remote && is_own(one, session, external) && !may_be_gone(one)));
    if (may_have && free_within(one.ports, session, external, any_rank)) return true;
  }
  return free_run(std::max(64u, 2 * options_.shards), session, external).has_value();
}

void Model::check_blocks() {
  if (!has_blocks()) return;
  const std::vector<PortBlockView> blocks = witness_.blocks();
  check_block_shape(blocks);
  check_block_uses(blocks);
  if (options_.owns_ports) follow_rests(blocks);
}

void Model::check_block_shape(const std::vector<PortBlockView>& blocks) const {
  for (auto one = blocks.begin(); one != blocks.end(); ++one) {
    const std::uint32_t size = size_of(*one);
    if (!std::has_single_bit(size) || size < 64 || size > 4096 || one->ports.first % size != 0) {
      throw Disagreement(name_of(*one) + " is no block");
    }
    for (auto other = std::next(one); other != blocks.end(); ++other) {
      if (!overlap(*one, *other)) continue;
      throw Disagreement(name_of(*one) + " and " + name_of(*other) + " overlap");
    }
  }
}

// Each port is in a block of its owner's, and each block has one, or rests.
void Model::check_block_uses(const std::vector<PortBlockView>& blocks) const {
  const auto has_port = [](const ModelSession& one) {
    return has_ports(one.protocol) && !one.forwarded;
  };
  for (const ModelSession& one : sessions_) {
    if (!has_port(one)) continue;
    const bool is_there = std::ranges::any_of(blocks, [&](const PortBlockView& block) {
      return is_in(one.external, block) && !block.rests && is_own(block, one, one.external.address);
    });
    if (!is_there) throw Disagreement(name_of(one) + " is in no block of its namespace");
  }
  if (!options_.owns_ports) return;
  for (const PortBlockView& block : blocks) {
    const auto uses = [&](const ModelSession& one) {
      return has_port(one) && is_in(one.external, block);
    };
    const bool is_used = std::ranges::any_of(sessions_, uses) ||
                         std::ranges::any_of(expired_, uses, &ExpiredSession::session);
    if (!block.rests && !is_used) throw Disagreement(name_of(block) + " is used by nobody");
  }
}

// After Engine::expire().
void Model::check_rested_blocks() const {
  for (const auto& [name, began] : resting_blocks_) {
    if (now_ < began.latest + PortLedger::rest) continue;
    throw Disagreement(name + " has rested and is still there");
  }
}

// Since when a block rests: what is left of one, of which another took a part, as long as that.
PortLedger::Began Model::rest_of(const PortBlockView& block) const {
  for (const PortBlockView& before : blocks_) {
    const auto rest = resting_blocks_.find(name_of(before));
    const bool is_part = before.namespace_id == block.namespace_id && overlap(before, block);
    if (is_part && rest != resting_blocks_.end()) return rest->second;
  }
  return {now_, now_};
}

// A block rests for its time before it is gone, but if another is taken there.
void Model::follow_rests(const std::vector<PortBlockView>& blocks) {
  for (const PortBlockView& before : blocks_) {
    const auto rest = resting_blocks_.find(name_of(before));
    const auto same =
        std::ranges::find_if(blocks, [&](const auto& one) { return is_same(one, before); });
    if (same != blocks.end()) continue;
    const bool may_have_rested =
        before.rests && (rest == resting_blocks_.end() || may_be_gone(before));
    if (may_have_rested) continue;
    // It may have come to rest and been taken meanwhile, by one packet; or a part of it, and the
    // others rest on.
    std::uint32_t covered = 0;
    for (const PortBlockView& one : blocks) covered += overlap(one, before) ? size_of(one) : 0;
    if (covered != size_of(before))
      throw Disagreement(name_of(before) + " did not rest long enough");
  }
  std::map<std::string, PortLedger::Began> resting;
  for (const PortBlockView& one : blocks) {
    if (one.rests) resting.try_emplace(name_of(one), rest_of(one));
  }
  resting_blocks_ = std::move(resting);
  blocks_ = blocks;
}

}  // namespace swnat::property
