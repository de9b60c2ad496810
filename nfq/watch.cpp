#include "nfq/watch.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "nfq/clock.h"
#include "nfq/control_lines.h"
#include "nfq/daemon.h"
#include "nfq/error.h"
#include "nfq/event_json.h"
#include "nfq/session_request.h"
#include "nfq/watcher.h"
#include "rules/text/request_words.h"
#include "rules/text/suggestion.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t events_per_piece = 64;

struct EventGroup {
  std::string_view name;
  EventKinds kinds;
};
constexpr EventGroup event_groups[] = {
    {"mapping", {EventKind::mapping_made, EventKind::mapping_ended}},
    {"session", {EventKind::session_made, EventKind::session_ended}},
    {"refused", {EventKind::refused}},
    {"block", {EventKind::block_taken, EventKind::block_given_up}},
};

static_assert(std::ranges::equal(event_groups, rules::event_groups, {}, &EventGroup::name));

EventKinds kinds_of(std::string_view name) {
  for (const EventGroup& group : event_groups) {
    if (group.name == name) return group.kinds;
  }
  throw Error(fmt::format("'{}' is no kind of event{} (allowed: {})", name,
                          rules::did_you_mean(name, rules::event_groups),
                          fmt::join(rules::event_groups, ", ")));
}

// What keeps one watch going; goes with its client.
class Watch {
 public:
  Watch(Daemon& daemon, std::shared_ptr<Watcher> watcher)
      : daemon_(daemon), watcher_(std::move(watcher)) {
    daemon_.events().add(watcher_);
  }
  ~Watch() { daemon_.events().remove(watcher_.get()); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void append_piece(std::string& text) {
    std::array<Event, events_per_piece> events;
    const std::size_t count = watcher_->drain(events);
    const auto config = daemon_.config();
    for (const Event& event : std::span(events).first(count)) {
      text += event_json(event, *config, now() - event.time).dump() + '\n';
    }
  }

 private:
  Daemon& daemon_;
  std::shared_ptr<Watcher> watcher_;
};

}  // namespace

EventKinds requested_events(const Json& request) {
  const auto found = request.find("events");
  if (found == request.end()) return EventKinds::all();
  if (!found->is_string()) throw Error("'events' must be text");
  std::string_view rest = found->get_ref<const std::string&>();
  EventKinds kinds;
  for (;;) {
    const std::size_t comma = rest.find(',');
    kinds = kinds | kinds_of(rest.substr(0, comma));
    if (comma == std::string_view::npos) return kinds;
    rest.remove_prefix(comma + 1);
  }
}

ControlAnswer watch(Daemon& daemon, const Json& request) {
  for (const char* key : {"state", "idle", "age"}) {
    if (request.contains(key)) throw Error(fmt::format("events are not chosen by '{}'", key));
  }
  SessionPattern pattern = requested_sessions(request, *daemon.config());
  const EventKinds kinds = requested_events(request);
  std::shared_ptr<Watcher> watcher;
  std::shared_ptr<Watch> all;
  try {
    watcher = std::make_shared<Watcher>(kinds, std::move(pattern));
    all = std::make_shared<Watch>(daemon, watcher);
  } catch (const std::bad_alloc&) {
    throw Error("there is not enough memory for events");
  }
  return {"{\"ok\":true}\n",
          [all](std::string& text) {
            all->append_piece(text);
            return true;
          },
          watcher->wakeup()};
}

}  // namespace swnat::nfq
