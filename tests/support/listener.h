// Whoever listens to a gateway's events, and words for what is told.
#pragma once

#include <string>
#include <vector>

#include "tests/support/gateway.h"

namespace swnat::test {

class Listener {
 public:
  explicit Listener(Gateway& gateway, EventKinds kinds = EventKinds::all(),
                    std::uint32_t capacity = 4096)
      : gateway_(gateway) {
    gateway.engine.listen(kinds, capacity);
  }

  std::vector<Event> take() {
    std::vector<Event> all;
    Event page[5];
    while (const std::size_t count = gateway_.engine.take_events(page, gateway_.now)) {
      all.insert(all.end(), page, page + count);
    }
    return all;
  }

  // "session_ended expired", "refused session_limit", one after the other.
  std::vector<std::string> words() {
    std::vector<std::string> all;
    for (const Event& event : take()) {
      std::string text(name_of(event.kind));
      if (event.cause != EndCause::none) text += " " + std::string(name_of(event.cause));
      if (event.kind == EventKind::refused) text += " " + std::string(info(event.reason).name);
      all.push_back(text);
    }
    return all;
  }

 private:
  Gateway& gateway_;
};

using Words = std::vector<std::string>;

inline Words ends_of_one(const std::string& cause) {
  return {"session_ended " + cause, "mapping_ended " + cause};
}

}  // namespace swnat::test
