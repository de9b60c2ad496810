#include "nfq/session_list.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/list_request.h"
#include "nfq/namespace_names.h"
#include "nfq/protocol_name.h"
#include "nfq/session_request.h"
#include "nfq/view_list.h"

namespace swnat::nfq {
namespace {

class SessionSource {
 public:
  using View = SessionView;

  SessionSource(const Daemon& daemon, SessionPattern pattern)
      : engine_(daemon.engine()), pattern_(std::move(pattern)), names_(daemon.config()) {}

  std::optional<std::size_t> next(std::span<View> views) {
    return engine_.sessions(pattern_, cursor_, views, now());
  }

  Json json(const View& view) {
    return {{"namespace", names_[view.namespace_id]},
            {"fwmark", view.namespace_id},
            {"protocol", protocol_name(view.protocol)},
            {"internal", text_of(view.internal, has_ports_or_ids(view.protocol))},
            {"external", text_of(view.external, has_ports_or_ids(view.protocol))},
            {"remote", text_of(view.remote, has_ports(view.protocol))},
            {"state", view.state},
            {"age", seconds(view.age)},
            {"idle", seconds(view.idle)},
            {"expires_in", seconds(view.expires_in)},
            {"outbound", traffic_json(view.traffic.outbound)},
            {"inbound", traffic_json(view.traffic.inbound)}};
  }

 private:
  const Engine& engine_;
  SessionPattern pattern_;
  NamespaceNames names_;
  Engine::Cursor cursor_;
};

class MappingSource {
 public:
  using View = MappingView;

  MappingSource(const Daemon& daemon, SessionPattern pattern)
      : engine_(daemon.engine()), pattern_(std::move(pattern)), names_(daemon.config()) {}

  std::optional<std::size_t> next(std::span<View> views) {
    return engine_.mappings(pattern_, cursor_, views, now());
  }

  Json json(const View& view) {
    Json json{{"namespace", names_[view.namespace_id]},
              {"fwmark", view.namespace_id},
              {"protocol", protocol_name(view.protocol)},
              {"internal", text_of(view.internal, has_ports_or_ids(view.protocol))},
              {"external", text_of(view.external, has_ports_or_ids(view.protocol))}};
    if (view.remote) json["remote"] = text_of(*view.remote, has_ports(view.protocol));
    json["sessions"] = view.sessions;
    json["forward"] = view.is_forward;
    json["age"] = seconds(view.age);
    json["idle"] = seconds(view.idle);
    json["outbound"] = traffic_json(view.traffic.outbound);
    json["inbound"] = traffic_json(view.traffic.inbound);
    return json;
  }

 private:
  const Engine& engine_;
  SessionPattern pattern_;
  NamespaceNames names_;
  MappingCursor cursor_;
};

enum class CountBy : std::uint8_t { nothing, namespace_id, protocol, state };

CountBy count_by(const Json& request) {
  const auto by = request.find("by");
  if (by == request.end()) return CountBy::nothing;
  if (*by == "namespace") return CountBy::namespace_id;
  if (*by == "protocol") return CountBy::protocol;
  if (*by == "state") return CountBy::state;
  throw Error(fmt::format("{} is nothing to count by (allowed: namespace, protocol, state)",
                          by->dump(-1, ' ', false, Json::error_handler_t::replace)));
}

class SessionCount {
 public:
  SessionCount(const Daemon& daemon, const Json& request)
      : engine_(daemon.engine()),
        pattern_(requested_sessions(request, *daemon.config())),
        names_(daemon.config()),
        by_(count_by(request)) {}

  bool append_piece(std::string& text) {
    std::array<SessionView, views_per_piece> views;
    if (const auto count = engine_.sessions(pattern_, cursor_, views, now())) {
      for (const SessionView& view : std::span(views).first(*count)) add(view);
      count_ += *count;
      return true;
    }
    Json json{{"ok", true}, {"count", count_}};
    if (by_ != CountBy::nothing) json["by"] = by_json();
    text += line(json);
    return false;
  }

 private:
  static constexpr std::size_t views_per_piece = 256;

  void add(const SessionView& view) {
    if (by_ == CountBy::state) ++by_state_[view.state];
    if (by_ == CountBy::namespace_id) ++by_number_[view.namespace_id];
    if (by_ == CountBy::protocol) ++by_number_[view.protocol];
  }

  Json by_json() {
    Json json = Json::object();
    for (const auto& [state, count] : by_state_) json[std::string(state)] = count;
    for (const auto& [number, count] : by_number_) {
      const bool is_protocol = by_ == CountBy::protocol;
      const auto name =
          is_protocol ? protocol_name(static_cast<std::uint8_t>(number)) : names_[number];
      json.push_back({name, count});
    }
    return json;
  }

  const Engine& engine_;
  SessionPattern pattern_;
  NamespaceNames names_;
  CountBy by_;
  Engine::Cursor cursor_;
  std::uint64_t count_ = 0;
  std::map<std::string_view, std::uint64_t> by_state_;
  std::map<std::uint32_t, std::uint64_t> by_number_;
};

}  // namespace

ControlAnswer list_sessions(Daemon& daemon, const Json& request) {
  const ListRequest wanted = requested_list(request, *daemon.config(), session_sort_key);
  return list_views(SessionSource(daemon, wanted.pattern), wanted);
}

ControlAnswer list_mappings(Daemon& daemon, const Json& request) {
  const ListRequest wanted = requested_list(request, *daemon.config(), mapping_sort_key);
  return list_views(MappingSource(daemon, wanted.pattern), wanted);
}

ControlAnswer count_sessions(Daemon& daemon, const Json& request) {
  auto all = std::make_shared<SessionCount>(daemon, request);
  return {{}, [all](std::string& text) { return all->append_piece(text); }};
}

}  // namespace swnat::nfq
