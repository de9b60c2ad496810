#include "nfq/control_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "nfq/access.h"
#include "nfq/clock.h"
#include "nfq/control_request.h"
#include "nfq/daemon.h"
#include "nfq/error.h"
#include "nfq/namespace_report.h"
#include "nfq/protocol_name.h"
#include "nfq/rule_counters.h"
#include "nfq/session_request.h"
#include "nfq/watch.h"
#include "rules/config/networks.h"

namespace swnat::nfq {
namespace {

using Json = nlohmann::ordered_json;

// A client that takes one piece makes room for the next.
constexpr std::size_t sessions_per_piece = 64;
constexpr std::size_t namespaces_per_piece = 256;
// Of Engine::end_sessions(): a few milliseconds of the main thread's at most.
constexpr int ends_per_piece = 64;

std::string line(const Json& json) {
  return control_line(json);
}

ControlAnswer refuse(const std::string& why) {
  return {line({{"ok", false}, {"error", why}})};
}

// The answer of a command that lists things; `more` as in ControlAnswer.
ControlAnswer list(std::function<bool(std::string& text)> more) {
  return {line({{"ok", true}}), [more = std::move(more)](std::string& text) {
            const bool goes_on = more(text);
            if (!goes_on) text += line({{"end", true}});
            return goes_on;
          }};
}

Json traffic_json(const Traffic& traffic) {
  return {{"packets", traffic.packets}, {"bytes", traffic.bytes}};
}

double seconds(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

std::string text_of(const IpEndpoint& endpoint, bool has_port) {
  return has_port ? to_text(endpoint) : to_text(endpoint.address);
}

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

bool is_asked_for(const Json& request, const char* key) {
  const auto found = request.find(key);
  if (found == request.end()) return false;
  if (!found->is_boolean()) throw Error(fmt::format("'{}' must be true or false", key));
  return found->get<bool>();
}

// Forwards that have room of their own, by namespace.
std::unordered_map<NamespaceId, Json> limited_forwards(const Daemon& daemon) {
  std::unordered_map<NamespaceId, Json> forwards;
  for (const ForwardUse& use : daemon.engine().forwards()) {
    forwards[use.namespace_id].push_back({{"protocol", protocol_name(use.protocol)},
                                          {"external", to_text(use.external)},
                                          {"sessions", use.sessions},
                                          {"session_limit", use.session_limit}});
  }
  return forwards;
}

// With "used": true, only those that have something now.
ControlAnswer list_namespaces(Daemon& daemon, const Json& request) {
  struct List {
    std::shared_ptr<const rules::Config> config;
    std::vector<NamespaceReport> reports;
    std::unordered_map<NamespaceId, Json> forwards;
    std::size_t next = 0;
  };
  auto all = std::make_shared<List>(
      List{daemon.config(), namespace_reports(daemon.engine()), limited_forwards(daemon)});
  if (is_asked_for(request, "used")) std::erase_if(all->reports, std::not_fn(is_used));
  return list([all](std::string& text) {
    const auto rest = std::span(all->reports).subspan(all->next);
    const auto piece = rest.first(std::min(rest.size(), namespaces_per_piece));
    for (const auto& [use, traffic] : piece) {
      text += line(
          {{"name", rules::namespace_name(*all->config, use.id)},
           {"fwmark", use.id},
           {"sessions", use.sessions},
           {"session_limit", use.session_limit},
           {"ports", use.ports},
           {"port_limit", use.port_limit},
           {"port_block", use.port_block},
           {"port_blocks", use.port_blocks},
           {"forwards", all->forwards.contains(use.id) ? all->forwards.at(use.id) : Json::array()},
           {"outbound", traffic_json(traffic.outbound)},
           {"inbound", traffic_json(traffic.inbound)}});
    }
    all->next += piece.size();
    return all->next < all->reports.size();
  });
}

// Names are looked up once for each namespace and not for each session.
class SessionList {
 public:
  SessionList(const Daemon& daemon, SessionPattern pattern)
      : daemon_(daemon), config_(daemon.config()), pattern_(std::move(pattern)) {}

  bool append_piece(std::string& text) {
    std::array<SessionView, sessions_per_piece> views;
    const std::size_t count = daemon_.engine().sessions(pattern_, cursor_, views, now());
    for (const SessionView& view : std::span(views).first(count)) text += line(json(view));
    return count != 0;
  }

 private:
  const std::string& name(NamespaceId id) {
    const auto [place, is_new] = names_.try_emplace(id);
    if (is_new) place->second = rules::namespace_name(*config_, id);
    return place->second;
  }

  Json json(const SessionView& view) {
    return {{"namespace", name(view.namespace_id)},
            {"fwmark", view.namespace_id},
            {"protocol", protocol_name(view.protocol)},
            {"internal", text_of(view.internal, has_ports_or_ids(view.protocol))},
            {"external", text_of(view.external, has_ports_or_ids(view.protocol))},
            {"remote", text_of(view.remote, has_ports(view.protocol))},
            {"state", view.state},
            {"idle", seconds(view.idle)},
            {"expires_in", seconds(view.expires_in)},
            {"outbound", traffic_json(view.traffic.outbound)},
            {"inbound", traffic_json(view.traffic.inbound)}};
  }

  const Daemon& daemon_;
  std::shared_ptr<const rules::Config> config_;
  SessionPattern pattern_;
  Engine::Cursor cursor_;
  std::unordered_map<NamespaceId, std::string> names_;
};

ControlAnswer list_sessions(Daemon& daemon, const Json& request) {
  auto all = std::make_shared<SessionList>(daemon, requested_sessions(request, *daemon.config()));
  return list([all](std::string& text) { return all->append_piece(text); });
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
            for (int i = 0; i < ends_per_piece; ++i) {
              const auto ended = daemon.engine().end_sessions(all->pattern, all->cursor, now());
              if (!ended) {
                text += line({{"ok", true}, {"ended", all->ended}});
                return false;
              }
              all->ended += *ended;
            }
            return true;
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
    text += line({{"text", piece}});
    return goes_on;
  });
}

struct Command {
  std::string_view name;
  Access access;
  ControlAnswer (*answer)(Daemon& daemon, const Json& request);
};

constexpr Command commands[] = {
    {"status", Access::reads, status},
    {"namespaces", Access::reads, list_namespaces},
    {"sessions", Access::reads, list_sessions},
    {"flush", Access::changes, flush},
    {"stats", Access::reads, stats},
    {"reload", Access::changes, reload},
    {"metrics", Access::reads, metrics},
    {"log", Access::reads, mapping_log},
    {"log-reopen", Access::changes, reopen_log},
    {"watch", Access::reads, watch},
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
    return why ? refuse(*why) : command->answer(daemon, request.json);
  } catch (const Error& wrong) {
    return refuse(wrong.what());
  }
}

}  // namespace swnat::nfq
