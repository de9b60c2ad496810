#include "nfq/mapping_log.h"

#include <pthread.h>

#include <algorithm>
#include <new>
#include <utility>

#include "nfq/clock.h"
#include "nfq/ipfix_output.h"
#include "nfq/log.h"
#include "nfq/log_datagrams.h"
#include "nfq/log_file.h"
#include "nfq/protocol_name.h"

namespace swnat::nfq {
namespace {

constexpr std::chrono::seconds tick{1};
constexpr std::size_t records_at_once = 1024;
constexpr Time loss_pause{60'000};  // between two lines about lost events

constexpr EventKinds of_mappings{EventKind::mapping_made, EventKind::mapping_ended};
constexpr EventKinds of_blocks{EventKind::block_taken, EventKind::block_given_up};

MappingLog::Outputs make_outputs(const rules::LogConfig& config, LogCounters& counters) {
  MappingLog::Outputs outputs;
  if (!config.file.empty()) outputs.push_back(std::make_unique<LogFile>(config.file, counters));
  if (config.journal) {
    outputs.push_back(
        std::make_unique<JournalOutput>(DatagramAddress::of_path(JournalOutput::local), counters));
  }
  if (config.syslog) {
    outputs.push_back(
        std::make_unique<SyslogOutput>(DatagramAddress::of_path(SyslogOutput::local), counters));
  }
  if (config.syslog_receiver) {
    outputs.push_back(std::make_unique<SyslogOutput>(
        DatagramAddress::of_endpoint(config.syslog_receiver->endpoint), counters));
  }
  if (config.ipfix) {
    outputs.push_back(std::make_unique<IpfixOutput>(*config.ipfix, config.destinations, counters));
  }
  return outputs;
}

std::chrono::milliseconds wall_clock() {
  return std::chrono::floor<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

const rules::NamespacePiece* find_piece(const std::vector<rules::NamespacePiece>& pieces,
                                        NamespaceId id) {
  const auto after = std::ranges::upper_bound(pieces, id, {}, &rules::NamespacePiece::first);
  if (after == pieces.begin()) return nullptr;
  const rules::NamespacePiece& piece = *std::prev(after);
  return id <= piece.last ? &piece : nullptr;
}

}  // namespace

EventKinds log_kinds(const rules::Config& config) {
  if (config.log->events) return *config.log->events;
  return make_policy(config).has_port_blocks() ? of_mappings | of_blocks : of_mappings;
}

MappingLog::MappingLog(const std::shared_ptr<const rules::Config>& config,
                       const std::shared_ptr<LogCounters>& counters, std::uint64_t sessions)
    : MappingLog(config, counters, sessions, make_outputs(*config->log, *counters)) {}

MappingLog::MappingLog(std::shared_ptr<const rules::Config> config,
                       std::shared_ptr<LogCounters> counters, std::uint64_t sessions,
                       Outputs outputs)
    : EventListener(log_kinds(*config)),
      config_(std::move(config)),
      counters_(std::move(counters)),
      sessions_at_begin_(sessions),
      outputs_(std::move(outputs)),
      pieces_(rules::namespace_pieces(*config_)) {
  std::vector<Event> room;
  room.reserve(events_kept);
  {
    const Lock lock(mutex_);
    work_.events.reserve(events_kept);
    work_.begins = true;
  }
  const Lock lock(end_mutex_);
  thread_ = std::thread([this, room = std::move(room)]() mutable { run(std::move(room)); });
}

void MappingLog::finish() {
  const Lock end_lock(end_mutex_);
  if (!thread_.joinable()) return;
  {
    const Lock lock(mutex_);
    work_.ends = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MappingLog::set_config(std::shared_ptr<const rules::Config> config) {
  const Lock lock(mutex_);
  work_.config = std::move(config);
  work_.before_config = work_.events.size();
  changed_.notify_all();
}

void MappingLog::reopen() {
  const Lock lock(mutex_);
  work_.reopens = true;
  changed_.notify_all();
}

void MappingLog::take(std::span<const Event> events) {
  const Lock lock(mutex_);
  for (const Event& event : events) {
    if (event.kind == EventKind::lost) {
      if (kinds().contains(event.lost_kind)) {
        work_.lost[static_cast<std::size_t>(event.lost_kind)] += event.count;
      }
    } else if (kinds().contains(event.kind)) {
      if (work_.events.size() < events_kept) {
        work_.events.push_back(event);
      } else {
        ++work_.lost[static_cast<std::size_t>(event.kind)];
      }
    }
  }
  changed_.notify_all();
}

void MappingLog::run(std::vector<Event> room) {
  ::pthread_setname_np(::pthread_self(), "mapping log");
  LogBatch batch(config_->log->destinations);
  for (;;) {
    Work work = wait_for_work(std::move(room));
    try {
      handle(batch, work);
    } catch (const std::bad_alloc&) {
      batch.clear();
      for (const Event& event : std::span(work.events).subspan(work.told)) {
        ++lost_[static_cast<std::size_t>(event.kind)];
      }
    }
    if (work.ends) return;
    room = std::move(work.events);
    room.clear();
  }
}

void MappingLog::handle(LogBatch& batch, Work& work) {
  for (std::size_t kind = 0; kind < event_kind_count; ++kind) lost_[kind] += work.lost[kind];
  if (work.begins) {
    batch.add(
        {.time = WallTime(wall_clock()), .event = {.count = sessions_at_begin_}, .begins = true});
    flush(batch);
  }
  if (work.config) {
    // Events are told by the names of their time.
    write_events(batch, work, work.before_config);
    follow(std::move(work.config));
  }
  write_events(batch, work, work.events.size());
  write_losses(batch);
  for (const auto& output : outputs_) {
    if (work.reopens) output->reopen();
    output->tick(now());
  }
}

MappingLog::Work MappingLog::wait_for_work(std::vector<Event> room) {
  const Lock lock(mutex_);
  const bool has_work =
      work_.begins || work_.ends || work_.reopens || work_.config || !work_.events.empty();
  if (!has_work) changed_.wait_for(mutex_, tick);
  Work work = std::exchange(work_, {});
  work_.events = std::move(room);
  work_.ends = work.ends;
  return work;
}

void MappingLog::write_events(LogBatch& batch, Work& work, std::size_t end) {
  const std::chrono::milliseconds to_wall = wall_clock() - now();
  for (std::size_t i = work.told; i < end; ++i) {
    const Event& event = work.events[i];
    const Tenant& owner = tenant(event.namespace_id);
    if (!is_wanted(event, owner)) continue;
    batch.add(
        {.time = WallTime(event.time + to_wall), .event = event, .namespace_name = owner.name});
    if (batch.records().size() == records_at_once) {
      flush(batch);
      work.told = i + 1;
    }
  }
  flush(batch);  // which names are learnt anew after
  work.told = end;
}

void MappingLog::write_losses(LogBatch& batch) {
  for (std::size_t kind = 0; kind < event_kind_count; ++kind) {
    if (lost_[kind] == 0) continue;
    batch.add({.time = WallTime(wall_clock()),
               .event = {.lost_kind = static_cast<EventKind>(kind), .count = lost_[kind]}});
    lost_untold_ += lost_[kind];
    counters_->lost += lost_[kind];
    lost_[kind] = 0;
  }
  flush(batch);
  tell_loss();
}

void MappingLog::flush(LogBatch& batch) {
  if (batch.empty()) return;
  counters_->records += batch.records().size();
  for (const auto& output : outputs_) output->write(batch, now());
  batch.clear();
}

void MappingLog::tell_loss() {
  const Time time = now();
  if (lost_untold_ == 0 || time < next_loss_line_) return;
  log(Priority::error, "the mapping log lost {} events, which found no room",
      std::exchange(lost_untold_, 0));
  next_loss_line_ = time + loss_pause;
}

// Without a list of events in the configuration, what lies in a namespace's own blocks is theirs.
bool MappingLog::is_wanted(const Event& event, const Tenant& owner) const {
  if (config_->log->events) return true;
  if (of_blocks.contains(event.kind)) return event.namespace_id != 0;
  return owner.has_mappings || event.is_forward || !has_ports_or_ids(event.protocol);
}

const MappingLog::Tenant& MappingLog::tenant(NamespaceId id) {
  const auto [place, is_new] = tenants_.try_emplace(id);
  if (is_new) learn(id, place->second);
  return place->second;
}

void MappingLog::follow(std::shared_ptr<const rules::Config> config) {
  former_ = std::exchange(config_, std::move(config));
  pieces_ = rules::namespace_pieces(*config_);
  for (auto& [id, tenant] : tenants_) learn(id, tenant);
}

// Of a namespace that is gone its name stays, and of one that got blocks just now the mappings that
// it had before are to end.
void MappingLog::learn(NamespaceId id, Tenant& tenant) const {
  std::string name = rules::namespace_name(*config_, id);
  if (name.empty() && former_) name = rules::namespace_name(*former_, id);
  if (!name.empty()) tenant.name = std::move(name);
  const rules::NamespacePiece* piece = find_piece(pieces_, id);
  const bool has_blocks = piece != nullptr && piece->config->policy.port_block != 0;
  tenant.has_mappings = tenant.has_mappings || !has_blocks;
}

}  // namespace swnat::nfq
