#include "nfq/trace_steps.h"

#include <fmt/format.h>

#include <array>
#include <optional>

#include "nfq/protocol_name.h"

namespace swnat::nfq {
namespace {

using Result = TraceSteps::Result;

constexpr std::string_view result_names[] = {"ok", "stop", "fault", "unknown"};
constexpr std::string_view route_kind_names[] = {"leaves",       "local",     "no_route",
                                                 "unreachable",  "blackhole", "prohibited",
                                                 "wrong_source", "unknown"};
constexpr std::string_view source_names[] = {"none", "session", "mapping", "forward",
                                             "own",  "chosen",  "any"};

std::string ports_text(const PortRange& ports) {
  return ports.first == ports.last ? fmt::format("port {}", ports.first)
                                   : fmt::format("ports {}-{}", ports.first, ports.last);
}

std::string own_text(const IpEndpoint& end, std::uint8_t protocol) {
  return text_of(end, has_ports_or_ids(protocol));
}
std::string remote_text(const IpEndpoint& end, std::uint8_t protocol) {
  return text_of(end, has_ports(protocol));
}

// Its number in the file, the first 1; none of one that was added at run time.
Json number_of(const rules::Config& config, const RuleMet<DropRule>& met) {
  return met.place < config.drop_numbers.size() ? Json(config.drop_numbers[met.place]) : Json();
}
Json number_of(const rules::Config& config, const RuleMet<RedirectRule>& met) {
  return config.redirect_numbers.at(met.place);  // none can be added
}
Json number_of(const rules::Config& config, const RuleMet<ForwardRule>& met) {
  return met.place < config.policy.forwards.size() ? Json(met.place + 1) : Json();
}

std::string rule_name(std::string_view kind, const Json& number) {
  return number.is_null() ? fmt::format("{} added at run time", kind)
                          : fmt::format("[[{}]] {}", kind, number.get<std::size_t>());
}

void tell_session(TraceSteps& steps, const SessionView& session) {
  steps.add("session", Result::ok,
            fmt::format("has a session: {} is {} to {}, {}, idle for {:.1f} s",
                        own_text(session.internal, session.protocol),
                        own_text(session.external, session.protocol),
                        remote_text(session.remote, session.protocol), session.state,
                        seconds(session.idle)),
            {{"internal", own_text(session.internal, session.protocol)},
             {"external", own_text(session.external, session.protocol)},
             {"remote", remote_text(session.remote, session.protocol)},
             {"state", session.state},
             {"idle", seconds(session.idle)},
             {"expires_in", seconds(session.expires_in)}});
}

void tell_room(TraceSteps& steps, std::string_view step, const std::optional<RoomSeen>& room,
               bool stops, std::string_view whose) {
  if (!room) return;
  steps.add(step, stops ? Result::stop : Result::ok,
            fmt::format("{} of {} {}", room->used, room->limit, whose),
            {{"used", room->used}, {"limit", room->limit}});
}

void tell_evicted(TraceSteps& steps, const SessionView& gone) {
  steps.add("evicts", Result::ok,
            fmt::format("for it a session ends: {} to {}, {}, idle for {:.1f} s",
                        own_text(gone.internal, gone.protocol),
                        remote_text(gone.remote, gone.protocol), gone.state, seconds(gone.idle)),
            {{"internal", own_text(gone.internal, gone.protocol)},
             {"remote", remote_text(gone.remote, gone.protocol)},
             {"state", gone.state},
             {"idle", seconds(gone.idle)}});
}

template <class Either>
void tell_timeouts(TraceSteps& steps, const Either& outlook) {
  steps.add("timeout", Result::ok,
            fmt::format("the session may be idle for {:.0f} s until it is answered, then for "
                        "{:.0f} s",
                        seconds(outlook.unanswered_timeout), seconds(outlook.answered_timeout)),
            {{"unanswered", seconds(outlook.unanswered_timeout)},
             {"answered", seconds(outlook.answered_timeout)}});
}

std::string external_text(const rules::Config& config, const OutboundOutlook& outlook,
                          std::uint8_t protocol, const IpEndpoint& internal) {
  const std::string external = own_text(outlook.external, protocol);
  switch (outlook.source) {
    case ExternalSource::mapping:
      return fmt::format("{} is mapped to {} already", own_text(internal, protocol), external);
    case ExternalSource::forward:
      return fmt::format("{}: leaves as {}",
                         rule_name("forward", number_of(config, *outlook.forwarded_as)), external);
    case ExternalSource::own:
      return has_ports_or_ids(protocol)
                 ? fmt::format("{}: its own, {}, is free there", external, outlook.external.port)
                 : fmt::format("{}, without ports", external);
    case ExternalSource::chosen:
      return fmt::format("{}, if no other packet gets it first", external);
    case ExternalSource::any:
      return fmt::format("{}, with one of {} free ports", to_text(outlook.external.address),
                         outlook.free_ports);
    case ExternalSource::none:
    case ExternalSource::session:
      break;
  }
  return fmt::format("none of {} ({} free)", to_text(outlook.external.address), outlook.free_ports);
}

void tell_external(TraceSteps& steps, const rules::Config& config, const Question& question,
                   const OutboundOutlook& outlook) {
  const std::uint8_t protocol = question.protocol;
  const bool is_known = outlook.source != ExternalSource::none;
  Json more{{"source", source_names[static_cast<std::size_t>(outlook.source)]},
            {"address", to_text(outlook.external.address)},
            {"port", nullptr},
            {"free_ports", outlook.free_ports}};
  if (is_known && outlook.external.port != 0) more["port"] = outlook.external.port;
  if (outlook.forwarded_as) more["rule"] = number_of(config, *outlook.forwarded_as);
  steps.add("external", is_known ? Result::ok : Result::stop,
            external_text(config, outlook, protocol, question.source), more);
}

}  // namespace

void TraceSteps::add(std::string_view step, Result result, std::string_view text,
                     const Json& more) {
  Json json{{"step", step}, {"result", result_names[static_cast<std::size_t>(result)]}};
  json.update(more);
  json["text"] = text;
  steps_.push_back(json);
}

void TraceSteps::stop_last() {
  steps_.back()["result"] = result_names[static_cast<std::size_t>(Result::stop)];
}

void tell_outbound(TraceSteps& steps, const rules::Config& config, const Question& question,
                   const OutboundOutlook& outlook) {
  if (outlook.session) return tell_session(steps, *outlook.session);
  const Reason reason = outlook.reason;
  if (!outlook.is_known_namespace) return;
  if (outlook.drop) {
    const DropRule& rule = outlook.drop->rule;
    const std::string ports = rule.protocol == protocol::icmp ? "" : ' ' + ports_text(rule.ports);
    const Json number = number_of(config, *outlook.drop);
    steps.add(
        "drop", Result::stop,
        fmt::format("{}: {}{}", rule_name("drop", number), protocol_name(rule.protocol), ports),
        {{"rule", number}});
    return;
  }
  steps.add("drop", Result::ok, "no rule drops it", {{"rule", nullptr}});
  if (outlook.redirect) {
    const Json number = number_of(config, *outlook.redirect);
    steps.add("redirect", Result::ok,
              fmt::format("{}: goes to {}", rule_name("redirect", number),
                          remote_text(outlook.remote, question.protocol)),
              {{"rule", number}});
  }
  if (reason == Reason::untranslated) {
    steps.add(
        "untranslated", Result::stop,
        fmt::format("{} is reached without translation", to_text(question.destination.address)));
    return;
  }
  if (!outlook.sessions) return;
  tell_room(steps, "session_limit", outlook.sessions, reason == Reason::session_limit,
            "sessions of the namespace");
  if (outlook.evicted) tell_evicted(steps, *outlook.evicted);
  tell_room(steps, "max_sessions", outlook.all_sessions, reason == Reason::table_full,
            "sessions of all");
  if (reason == Reason::session_limit || reason == Reason::table_full) return;
  const bool takes_port =
      outlook.source == ExternalSource::own || outlook.source == ExternalSource::chosen ||
      outlook.source == ExternalSource::any || outlook.source == ExternalSource::none;
  if (takes_port) {
    tell_room(steps, "port_limit", outlook.ports, reason == Reason::port_limit,
              "ports of the namespace");
  }
  if (reason == Reason::port_limit) return;
  tell_external(steps, config, question, outlook);
  if (outlook.source != ExternalSource::none) tell_timeouts(steps, outlook);
}

void tell_inbound(TraceSteps& steps, const rules::Config& config, const Question& question,
                  const InboundOutlook& outlook) {
  if (outlook.session) return tell_session(steps, *outlook.session);
  const Reason reason = outlook.reason;
  const std::string receiver =
      outlook.namespace_id == 0
          ? ""
          : fmt::format("{} {}", rules::namespace_name(config, outlook.namespace_id),
                        own_text(outlook.internal, question.protocol));
  Json to{{"namespace", nullptr}, {"internal", nullptr}};
  if (outlook.namespace_id != 0) {
    to = {{"namespace", rules::namespace_name(config, outlook.namespace_id)},
          {"internal", own_text(outlook.internal, question.protocol)}};
  }
  if (outlook.forward) {
    const Json number = number_of(config, *outlook.forward);
    Json more{{"rule", number}};
    more.update(to);
    steps.add("forward", reason == Reason::no_mapping ? Result::stop : Result::ok,
              fmt::format("{}: to {}", rule_name("forward", number), receiver), more);
  } else {
    steps.add("mapping", reason == Reason::no_mapping ? Result::stop : Result::ok,
              outlook.has_mapping ? "of " + receiver : std::string("nobody has this endpoint"), to);
    if (reason == Reason::no_mapping) return;
    constexpr std::array<std::string_view, 3> names{"endpoint-independent", "address-dependent",
                                                    "address-and-port-dependent"};
    const auto number = static_cast<std::size_t>(config.policy.filtering);
    const bool is_filtered = reason == Reason::filtered;
    steps.add("filtering", is_filtered ? Result::stop : Result::ok,
              fmt::format("{}: {}", names[number],
                          is_filtered ? "the mapping does not accept this remote"
                                      : "the mapping accepts this remote"),
              {{"filtering", names[number]}});
    if (is_filtered) return;
  }
  tell_room(steps, "session_limit", outlook.sessions, reason == Reason::session_limit,
            outlook.counts_to_forward ? "sessions of the forward" : "sessions of the namespace");
  if (outlook.evicted) tell_evicted(steps, *outlook.evicted);
  tell_room(steps, "max_sessions", outlook.all_sessions, reason == Reason::table_full,
            "sessions of all");
  if (verdict_of(reason) == Verdict::accept) tell_timeouts(steps, outlook);
}

std::string_view name_of(rules::RouteKind kind) {
  return route_kind_names[static_cast<std::size_t>(kind)];
}

std::string route_text(const rules::RouteQuestion& asked, const rules::RouteAnswer& answer) {
  const std::string to = fmt::format("{} (fwmark {:#x})", to_text(asked.to), asked.fwmark);
  switch (answer.kind) {
    case rules::RouteKind::leaves:
      return fmt::format("{} is routed by {}{}", to, answer.interface,
                         answer.via ? " via " + to_text(*answer.via) : "");
    case rules::RouteKind::local:
      return fmt::format("{} is the gateway itself", to);
    case rules::RouteKind::none:
      return fmt::format("there is no route to {}", to);
    case rules::RouteKind::unreachable:
      return fmt::format("{} is unreachable: a route says so, or forwarding is off", to);
    case rules::RouteKind::blackhole:
      return fmt::format("{} is a blackhole, or {} is no source that the kernel believes", to,
                         to_text(asked.from));
    case rules::RouteKind::prohibited:
      return fmt::format("{} is prohibited", to);
    case rules::RouteKind::wrong_source:
      return fmt::format("{} is not where answers would leave to {} (rp_filter)", asked.interface,
                         to_text(asked.from));
    case rules::RouteKind::unknown:
      break;
  }
  return fmt::format("the kernel does not tell the route to {}: {}", to, answer.fault);
}

Json route_data(const rules::RouteQuestion& asked, const rules::RouteAnswer& answer) {
  Json json{{"to", to_text(asked.to)},
            {"fwmark", asked.fwmark},
            {"route", name_of(answer.kind)},
            {"interface", nullptr},
            {"via", nullptr}};
  if (!answer.interface.empty()) json["interface"] = answer.interface;
  if (answer.via) json["via"] = to_text(*answer.via);
  return json;
}

}  // namespace swnat::nfq
