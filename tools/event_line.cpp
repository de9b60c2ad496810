#include "tools/event_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <ctime>

#include "tools/swnatctl_text.h"
#include "tools/time_of_day.h"

namespace swnat::ctl {
namespace {

std::string text_or(const Json& event, const char* key, const char* otherwise) {
  return event.value(key, otherwise);
}

// "session_ended" as "session ended".
std::string words(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

std::string loss_text(const Json& event) {
  const auto count = event.at("count").get<std::uint64_t>();
  std::string text = fmt::format("{} event{} lost", count, count == 1 ? "" : "s");
  if (event.contains("of")) text += fmt::format(" ({})", words(event["of"]));
  return text;
}

// A packet that is refused on the way out has no external endpoint yet.
std::string endpoints_text(const Json& event) {
  std::string text =
      fmt::format("{} > {}", text_or(event, "internal", "-"), text_or(event, "external", "-"));
  if (event.contains("remote")) text += fmt::format(" > {}", event["remote"].get<std::string>());
  return text;
}

std::string happening_text(const Json& event) {
  std::string text =
      fmt::format("{:<14} {} ", words(event.at("event")), event.at("namespace").get<std::string>());
  if (event.contains("ports")) {
    return text + fmt::format("{} ports {}", text_or(event, "external", "-"),
                              event["ports"].get<std::string>());
  }
  text += event.at("protocol").get<std::string>() + ' ' + endpoints_text(event);
  for (const char* key : {"cause", "reason"}) {
    if (event.contains(key)) text += ' ' + event[key].get<std::string>();
  }
  if (event.contains("age")) text += " after " + duration(event["age"].get<double>());
  return text;
}

}  // namespace

std::string event_line(const Json& event) {
  const std::string time = time_of_day(static_cast<std::time_t>(event.at("time").get<double>()));
  return time + ' ' + (event.at("event") == "lost" ? loss_text(event) : happening_text(event)) +
         '\n';
}

}  // namespace swnat::ctl
