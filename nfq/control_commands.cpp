#include "nfq/control_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nfq/access.h"
#include "nfq/clock.h"
#include "nfq/control_lines.h"
#include "nfq/control_request.h"
#include "nfq/daemon.h"
#include "nfq/error.h"
#include "nfq/rule_commands.h"
#include "nfq/rule_counters.h"
#include "nfq/session_keep.h"
#include "nfq/session_list.h"
#include "nfq/session_request.h"
#include "nfq/tenant_list.h"
#include "nfq/trace.h"
#include "nfq/watch.h"

namespace swnat::nfq {
namespace {

Json queue_json(const QueueReport& queue) {
  Json json{{"queue", queue.number}};
  for (std::size_t i = 0; i < queue.counts.size(); ++i) {
    json[std::string(queue_counter_infos[i].name)] = queue.counts[i];
  }
  if (queue.kernel) {
    json["kernel"] = {{"waiting", queue.kernel->waiting},
                      {"dropped_full", queue.kernel->dropped_full},
                      {"dropped_overflow", queue.kernel->dropped_overflow}};
  }
  return json;
}

Json queues_json(const Daemon& daemon) {
  Json json = Json::array();
  for (const QueueReport& queue : daemon.queues()) json.push_back(queue_json(queue));
  return json;
}

Json rules_json(const RuleStatus& status) {
  return {{"state", state_name(status.seen.state)},
          {"differences", status.seen.differences},
          {"notes", status.seen.notes},
          {"repairs", status.repairs},
          {"unread_queues", status.unread_queues}};
}

ControlAnswer status(Daemon& daemon, const Json&) {
  const auto config = daemon.config();
  return {line({{"ok", true},
                {"version", SWNAT_VERSION},
                {"pid", ::getpid()},
                {"uptime", seconds(daemon.uptime())},
                {"configuration", config->file},
                {"namespaces", daemon.engine().namespaces().size()},
                {"sessions", daemon.engine().session_count()},
                {"max_sessions", config->max_sessions},
                {"sessions_made", daemon.engine().sessions_made()},
                {"port_blocks", daemon.engine().port_blocks().size()},
                {"rules", rules_json(daemon.rules())},
                {"queues", queues_json(daemon)}})};
}

ControlAnswer stats(Daemon& daemon, const Json&) {
  Json packets;
  Json verdicts;
  const Counters counters = daemon.engine().counters();
  for (std::size_t i = 0; i < counters.size(); ++i) {
    packets[std::string(reasons[i].name)] = counters[i];
    verdicts[std::string(reasons[i].name)] = name_of(reasons[i].verdict);
  }
  Json dropped_by_rules = Json::object();
  for (const RuleCounter& each : rule_counters()) dropped_by_rules[each.name] = each.packets;
  return {line({{"ok", true},
                {"packets", packets},
                {"verdicts", verdicts},
                {"dropped_by_rules", dropped_by_rules},
                {"queues", queues_json(daemon)}})};
}

// Answers when all are ended, and ends them also for a client that does not wait for it.
ControlAnswer flush(Daemon& daemon, const Json& request) {
  struct Flush {
    SessionPattern pattern;
    Engine::Cursor cursor = {};
    std::uint64_t ended = 0;
  };
  auto all = std::make_shared<Flush>(Flush{requested_sessions(request, *daemon.config())});
  return {{}, [all, &daemon](std::string& text) {
            if (const auto ended = daemon.engine().end_sessions(all->pattern, all->cursor, now())) {
              all->ended += *ended;
              return true;
            }
            text += line({{"ok", true}, {"ended", all->ended}});
            return false;
          }};
}

ControlAnswer reload(Daemon& daemon, const Json&) {
  const ReloadOutcome outcome = daemon.reload();
  if (!outcome.faults.empty()) return refuse(fmt::format("{}", fmt::join(outcome.faults, "\n")));
  return {line({{"ok", true},
                {"configuration", daemon.config()->file},
                {"changes", outcome.changes},
                {"wants_up", outcome.wants_up}})};
}

// How the mapping log fares.
ControlAnswer mapping_log(Daemon& daemon, const Json&) {
  const LogSwitch& log = daemon.mapping_log();
  if (!log.is_on()) return refuse("there is no mapping log: the configuration has no [log]");
  Json outputs;
  for (std::size_t i = 0; i < log_output_count; ++i) {
    const LogOutputCounters& output = log.counters().outputs[i];
    outputs[std::string(log_output_names[i])] = {{"records", output.records.load()},
                                                 {"lost", output.lost.load()},
                                                 {"errors", output.errors.load()}};
  }
  return {line({{"ok", true},
                {"file", daemon.config()->log->file},
                {"records", log.counters().records.load()},
                {"lost", log.counters().lost.load()},
                {"outputs", outputs}})};
}

ControlAnswer reopen_log(Daemon& daemon, const Json& request) {
  daemon.mapping_log().reopen();
  return mapping_log(daemon, request);
}

// Pieces of Prometheus text, each in a line of JSON.
ControlAnswer metrics(Daemon& daemon, const Json&) {
  auto text_of_metrics = std::make_shared<Metrics>(daemon.metrics());
  return list([text_of_metrics](std::string& text) {
    std::string piece;
    const bool goes_on = text_of_metrics->append_piece(piece);
    if (!piece.empty()) text += line({{"text", piece}});
    return goes_on;
  });
}

struct Command {
  std::string_view name;
  Access access;
  ControlAnswer (*answer)(Daemon& daemon, const Json& request);
  bool watches = false;
};

constexpr Command commands[] = {
    {"status", Access::reads, status},
    {"namespaces", Access::reads, list_namespaces},
    {"sessions", Access::reads, list_sessions},
    {"mappings", Access::reads, list_mappings},
    {"count", Access::reads, count_sessions},
    {"ports", Access::reads, list_ports},
    {"flush", Access::changes, flush},
    {"stats", Access::reads, stats},
    {"reload", Access::changes, reload},
    {"metrics", Access::reads, metrics},
    {"log", Access::reads, mapping_log},
    {"log-reopen", Access::changes, reopen_log},
    {"watch", Access::reads, watch, true},
    {"trace", Access::reads, trace},
    {"session-keep", Access::changes, keep_session},
    {"forward-add", Access::changes, add_forward},
    {"forward-remove", Access::changes, remove_forward},
    {"forward-list", Access::reads, list_forwards},
    {"drop-add", Access::changes, add_drop},
    {"drop-remove", Access::changes, remove_drop},
    {"drop-list", Access::reads, list_drops},
};

}  // namespace

ControlAnswer answer_control_request(Daemon& daemon, std::string_view line, const Peer& peer) {
  try {
    const ControlRequest request = parse_control_request(line);
    const auto* command = std::ranges::find(commands, request.command, &Command::name);
    if (command == std::end(commands)) {
      return refuse(fmt::format("'{}' is no command of this daemon", request.command));
    }
    const auto why = refusal(command->name, command->access, peer, *daemon.config());
    if (why) return refuse(*why);
    auto place = command->watches ? daemon.watch_places().take(peer) : nullptr;
    ControlAnswer answer = command->answer(daemon, request.json);
    answer.held = std::move(place);
    return answer;
  } catch (const Error& wrong) {
    return refuse(wrong.what());
  }
}

}  // namespace swnat::nfq
