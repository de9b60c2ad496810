// A stand-in for the daemon: it forwards ports and keeps sessions in a table, and answers as the
// daemon does, when a test says so.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tools/pcp/control.h"

namespace swnat::test {

class FakeControl final : public pcp::Control {
 public:
  using Json = pcp::Json;

  bool ask(const Json& request, Done done) override {
    if (is_full) return false;
    asked.push_back(request);
    waiting_.emplace_back(request, std::move(done));
    return true;
  }

  // Answers all that waits, and what is asked meanwhile.
  void answer() {
    while (!waiting_.empty()) {
      auto [request, done] = std::move(waiting_.front());
      waiting_.erase(waiting_.begin());
      if (is_away) {
        done(nullptr);
      } else {
        const Json json = answer_to(request);
        done(&json);
      }
    }
  }

  std::size_t count(const std::string& command) const {
    std::size_t count = 0;
    for (const Json& each : asked) count += each["command"] == command ? 1u : 0u;
    return count;
  }

  bool is_away = false;
  bool is_full = false;
  int pid = 100;
  std::vector<Json> asked;
  std::map<std::string, Json> forwards;  // by what they are for
  std::string refusal;                   // of forwards
  std::string reason;                    // why no session is kept
  std::string kept_at = "203.0.113.1:50000";

 private:
  static std::string name(const Json& request) {
    return request["namespace"].get<std::string>() + " " + request["protocol"].get<std::string>() +
           " " + request["to"].get<std::string>();
  }

  Json forward(const Json& request) {
    std::string external = request.value("external", "");
    if (external.find(':') == std::string::npos) {
      external = (external.empty() ? "203.0.113.1" : external) + ":" + std::to_string(next_port_++);
    }
    Json made = request;
    made.erase("command");
    made["external"] = external;
    made["lifetime_left"] = request["lifetime"];
    return forwards[name(request)] = made;
  }

  Json answer_to(const Json& request) {
    const std::string command = request["command"];
    if (command == "status") return {{"ok", true}, {"pid", pid}};
    if (command == "forward-list") {
      Json all = Json::array();
      for (const auto& [key, each] : forwards) all.push_back(each);
      return {{"ok", true}, {"lines", all}};
    }
    if (command == "forward-add") {
      if (!refusal.empty()) return {{"ok", false}, {"error", refusal}};
      return {{"ok", true}, {"forward", forward(request)}};
    }
    if (command == "forward-remove") {
      forwards.erase(name(request));
      return {{"ok", true}};
    }
    if (command == "session-keep") {
      if (!reason.empty()) return {{"ok", false}, {"error", reason}, {"reason", reason}};
      return {{"ok", true}, {"external", kept_at}};
    }
    return {{"ok", false}, {"error", "no such command"}};
  }

  std::vector<std::pair<Json, Done>> waiting_;
  int next_port_ = 40'000;
};

}  // namespace swnat::test
