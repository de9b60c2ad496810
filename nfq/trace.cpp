#include "nfq/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "nfq/clock.h"
#include "nfq/control_lines.h"
#include "nfq/daemon.h"
#include "nfq/protocol_name.h"
#include "nfq/rule_keeper.h"
#include "nfq/trace_steps.h"
#include "rules/config/networks.h"
#include "rules/text/kernel_error.h"
#include "rules/wanted/steering.h"
#include "swnat/limits.h"

namespace swnat::nfq {
namespace {

// The steps of one packet, in its order. Each of the functions that return a bool says whether the
// packet goes on.
class Way {
 public:
  Way(const TraceRequest& request, const TraceSources& sources)
      : request_(request),
        question_(request.question),
        sources_(sources),
        config_(sources.config) {}

  Json json() {
    Json packet = packet_json();
    walk();
    return {{"packet", packet}, {"steps", steps_.json()}, {"outcome", outcome_}};
  }

 private:
  using Result = TraceSteps::Result;

  Json packet_json() const {
    const bool has_end = has_ports(question_.protocol);
    const bool has_own = has_ports_or_ids(question_.protocol);
    const bool is_inbound = question_.direction == Direction::inbound;
    Json json{{"direction", is_inbound ? "inbound" : "outbound"}};
    if (!is_inbound) {
      json["namespace"] = request_.tenant;
      json["fwmark"] = question_.namespace_id;
    }
    json["protocol"] = protocol_name(question_.protocol);
    json["from"] = text_of(question_.source, is_inbound ? has_end : has_own);
    json["to"] = text_of(question_.destination, is_inbound ? has_own : has_end);
    if (!is_inbound) {
      json["from_assumed"] = request_.is_source_assumed;
      json["port_assumed"] = request_.is_source_port_assumed;
    }
    return json;
  }

  void walk() {
    if (!rules_stand()) return;
    if (question_.direction == Direction::inbound) return come_in();
    if (!enters()) return;
    if (is_early()) {
      turn_early();
    } else {
      leave();
    }
  }

  void decide(std::string_view verdict, std::string_view reason, std::string_view by,
              std::string_view text) {
    outcome_ = {{"verdict", verdict}, {"reason", reason}, {"by", by}, {"text", text}};
  }
  void decide(Reason reason) {
    decide(name_of(verdict_of(reason)), info(reason).name, "engine", info(reason).text);
  }

  bool rules_stand() {
    const rules::Inspection& seen = sources_.rules;
    const bool is_missing = seen.state == rules::RuleState::missing;
    Json more{{"state", state_name(seen.state)}, {"differences", seen.differences}};
    const Result result = seen.state == rules::RuleState::as_configured ? Result::ok
                          : is_missing                                  ? Result::stop
                                                                        : Result::fault;
    steps_.add("rules", result, "the kernel's rules are " + state_text(seen), more);
    if (is_missing) {
      decide("unknown", "rules_missing", "rules",
             "no rule hands packets over: apply them with swnat-nfq up");
    }
    return !is_missing;
  }

  bool enters() {
    const Json more{{"namespace", request_.tenant},
                    {"fwmark", question_.namespace_id},
                    {"interface", request_.interface}};
    if (request_.is_of_member && request_.interface.empty()) {
      steps_.add("namespace", Result::stop,
                 fmt::format("no interface is {} now, so nothing has its fwmark {:#x}",
                             request_.tenant, question_.namespace_id),
                 more);
      decide("drop", "waiting_member", "rules", "an interface without a fwmark is blocked");
      return false;
    }
    if (request_.interface.empty()) {
      steps_.add("namespace", Result::unknown,
                 fmt::format("{} has fwmark {:#x}, if the operator's own rules set it",
                             request_.tenant, question_.namespace_id),
                 more);
      return true;
    }
    steps_.add("namespace", Result::ok,
               fmt::format("comes in by {}: {}, fwmark {:#x}", request_.interface, request_.tenant,
                           question_.namespace_id),
               more);
    const auto networks = tenant_networks();
    const bool is_own = networks.empty() || rules::any_contains(networks, question_.source.address);
    if (is_own) return true;
    steps_.add("source", Result::stop,
               fmt::format("{} is in no subnet or route of {}", to_text(question_.source.address),
                           request_.tenant));
    decide("drop", "forged_source", "rules", "the namespace may not send from there");
    return false;
  }

  std::vector<IpNetwork> tenant_networks() const {
    const auto* tenant = rules::find_namespace(config_, question_.namespace_id);
    return tenant == nullptr || tenant->is_unplaced() ? std::vector<IpNetwork>{}
                                                      : tenant->networks();
  }

  bool is_external(const IpAddress& address) const {
    return std::ranges::find(config_.external_addresses, address) !=
           config_.external_addresses.end();
  }
  bool is_redirected() const {
    return std::ranges::any_of(config_.policy.redirects, [&](const RedirectRule& rule) {
      return rule.protocol == question_.protocol && rule.from == question_.destination &&
             rule.namespaces.contains(question_.namespace_id);
    });
  }
  // Whether the rules queue it before it is routed.
  bool is_early() const { return is_external(question_.destination.address) || is_redirected(); }

  void queue(std::string_view hook, std::optional<std::uint16_t> port) {
    const std::uint32_t shard = port ? shard_of_port(*port, config_.workers) : 0;
    const std::uint32_t number = config_.first_queue + shard;
    const std::string why = !port                  ? ", as what has no port does"
                            : config_.workers == 1 ? ""
                                                   : fmt::format(", by bits of {}", *port);
    steps_.add("queue", Result::ok, fmt::format("queue {} in {}{}", number, hook, why),
               {{"queue", number}, {"hook", hook}});
  }
  std::optional<std::uint16_t> port_of(const IpEndpoint& end) const {
    if (!has_ports_or_ids(question_.protocol)) return {};
    return end.port;
  }

  // Whether the rules queue what comes for the external endpoint.
  bool is_queued_inbound() {
    const bool is_icmp = !has_ports(question_.protocol) && has_ports_or_ids(question_.protocol);
    const bool is_outbound = question_.direction == Direction::outbound;
    if (!has_ports_or_ids(question_.protocol)) {
      if (!is_outbound) {
        steps_.add("protocol", Result::unknown,
                   "queued only if a tenant spoke this protocol to that remote before, which only "
                   "the kernel's rules remember");
        return true;
      }
    } else if (!(is_icmp && is_outbound)) {
      const std::uint16_t port = question_.destination.port;
      const bool is_forwarded =
          std::ranges::any_of(config_.policy.forwards, [&](const ForwardRule& rule) {
            return rule.protocol == question_.protocol && rule.external == question_.destination;
          });
      if (config_.policy.ports.contains(port) || is_forwarded) return true;
    }
    steps_.add("queue", Result::stop,
               "not queued: neither one of external.ports nor a [[forward]]; it is for the gateway "
               "itself",
               {{"queue", nullptr}});
    decide("pass", "not_queued", "rules", "for the gateway itself, as if there were no NAT");
    return false;
  }

  // False unless it leaves by an interface; then `interface` is that.
  bool route(std::string_view step, const rules::RouteQuestion& asked, std::string& interface) {
    const rules::RouteAnswer answer = sources_.route(asked);
    interface = answer.interface;
    const bool leaves = answer.kind == rules::RouteKind::leaves;
    const bool is_unknown = answer.kind == rules::RouteKind::unknown;
    steps_.add(step,
               leaves       ? Result::ok
               : is_unknown ? Result::unknown
                            : Result::stop,
               route_text(asked, answer), route_data(asked, answer));
    if (leaves || is_unknown) return true;
    if (answer.kind == rules::RouteKind::local) {
      decide("pass", "local", "kernel", "for the gateway itself, which is not translated");
    } else {
      decide("drop", name_of(answer.kind), "kernel", "the kernel does not route it");
    }
    return false;
  }

  void leave() {
    std::string interface;
    if (!route("route",
               {question_.destination.address, question_.source.address, question_.namespace_id,
                request_.interface},
               interface)) {
      return;
    }
    if (!interface.empty() && interface != config_.external_interface) {
      steps_.stop_last();
      decide("pass", "other_interface", "rules",
             fmt::format("leaves by {} and not by {}, so it is not translated", interface,
                         config_.external_interface));
      return;
    }
    const Outlook outlook = sources_.outlook(question_);
    const bool is_untranslated = outlook.reason == Reason::untranslated;
    if (!is_untranslated) queue("POSTROUTING", port_of(question_.source));
    tell(outlook);
    if (!is_untranslated && verdict_of(outlook.reason) == Verdict::accept) answers(outlook);
  }

  // To an external address, or redirected: translated before it is routed.
  void turn_early() {
    const bool is_redirect = is_redirected();
    if (!is_redirect && !is_queued_inbound()) return;
    queue("PREROUTING", port_of(is_redirect ? question_.source : question_.destination));
    Question early = question_;
    early.direction = Direction::hairpin;
    const Outlook outlook = sources_.outlook(early);
    tell(outlook);
    if (verdict_of(outlook.reason) != Verdict::accept) return;
    rules::RouteQuestion on{question_.destination.address, question_.source.address, 0,
                            request_.interface};
    if (outlook.outbound) {
      on.to = outlook.outbound->remote.address;
      on.from = outlook.outbound->external.address;
    }
    if (outlook.inbound && outlook.inbound->namespace_id != 0 &&
        outlook.reason != Reason::translated_outbound) {
      on.to = outlook.inbound->internal.address;
      on.fwmark = outlook.inbound->namespace_id;
    }
    std::string interface;
    const Json decided = outcome_;
    if (!route("route", on, interface) && outcome_["reason"] == "local") outcome_ = decided;
    answers(outlook);
  }

  void come_in() {
    if (!is_queued_inbound()) return;
    queue("PREROUTING", port_of(question_.destination));
    const Outlook outlook = sources_.outlook(question_);
    tell(outlook);
    if (verdict_of(outlook.reason) != Verdict::accept) return;
    std::string interface;
    route("route",
          {outlook.inbound->internal.address, question_.source.address,
           outlook.inbound->namespace_id, request_.interface},
          interface);
  }

  void tell(const Outlook& outlook) {
    if (outlook.outbound) tell_outbound(steps_, config_, question_, *outlook.outbound);
    if (outlook.inbound) tell_inbound(steps_, config_, question_, *outlook.inbound);
    if (outlook.is_overdue) {
      steps_.add("overdue", Result::unknown,
                 "some sessions whose time is over are not freed yet; the packet would free them "
                 "first, and may find more room");
    }
    decide(outlook.reason);
  }

  // The way back to the tenant.
  void answers(const Outlook& outlook) {
    if (!outlook.outbound) return;
    const rules::RouteQuestion asked{question_.source.address, outlook.outbound->remote.address,
                                     question_.namespace_id, config_.external_interface};
    const rules::RouteAnswer answer = sources_.route(asked);
    const bool leads_back =
        answer.kind == rules::RouteKind::leaves &&
        (request_.interface.empty() || answer.interface != config_.external_interface);
    const bool is_unknown = answer.kind == rules::RouteKind::unknown;
    steps_.add("answer",
               leads_back   ? Result::ok
               : is_unknown ? Result::unknown
                            : Result::fault,
               "what answers: " + route_text(asked, answer), route_data(asked, answer));
  }

  const TraceRequest& request_;
  const Question& question_;
  const TraceSources& sources_;
  const rules::Config& config_;
  TraceSteps steps_;
  Json outcome_;
};

}  // namespace

Json trace_json(const TraceRequest& request, const TraceSources& sources) {
  return Way(request, sources).json();
}

ControlAnswer trace(Daemon& daemon, const Json& request) {
  const auto config = daemon.config();
  TraceRequest wanted = requested_trace(request, *config);
  if (wanted.is_of_member) {
    const auto interfaces = daemon.member_interfaces();
    const auto found = interfaces->find(wanted.question.namespace_id);
    if (found != interfaces->end()) wanted.interface = found->second;
  }
  const rules::Inspection seen = daemon.rules().seen;
  std::optional<rules::RouteLookup> routes;
  std::string fault;
  try {
    routes.emplace();
  } catch (const rules::KernelError& wrong) {
    fault = wrong.what();
  }
  const TraceSources sources{
      *config, seen,
      [&](const Question& question) { return daemon.engine().outlook(question, now()); },
      [&](const rules::RouteQuestion& question) {
        return routes ? routes->ask(question) : rules::RouteAnswer{.fault = fault};
      }};
  Json json{{"ok", true}};
  json.update(trace_json(wanted, sources));
  return {line(json)};
}

}  // namespace swnat::nfq
