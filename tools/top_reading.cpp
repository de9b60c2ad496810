#include "tools/top_reading.h"

#include <fmt/format.h>

#include <utility>

#include "tools/swnatctl_answer.h"

namespace swnat::ctl {
namespace {

TopTraffic traffic_of(const Json& json) {
  return {json.at("packets"), json.at("bytes")};
}

TopRow row_of(const Json& item, TopBy by) {
  TopRow row{.name = item.at(by == TopBy::namespaces ? "name" : "namespace"),
             .outbound = traffic_of(item.at("outbound")),
             .inbound = traffic_of(item.at("inbound"))};
  if (by == TopBy::namespaces) {
    row.sessions = item.at("sessions");
    row.session_limit = item.at("session_limit");
    row.sessions_made = item.at("sessions_made");
    row.ports = item.at("ports");
  } else {
    row.protocol = item.at("protocol");
    row.internal = item.at("internal");
    row.external = item.at("external");
    row.remote = item.at("remote");
  }
  return row;
}

}  // namespace

Json top_request(TopBy by, std::chrono::seconds lately) {
  if (by == TopBy::namespaces) return {{"command", "namespaces"}, {"used", true}};
  return {{"command", "sessions"}, {"idle", fmt::format("<{}", lately.count())}};
}

TopReading take_top_reading(Connection& connection, const std::string& socket, TopBy by) {
  take_first_line(connection, socket);
  TopReading reading{.by = by};
  for (;;) {
    const auto line = connection.next_line();
    if (!line) throw Error(fmt::format("{}: the daemon ended its answer early", socket));
    const Json item = Json::parse(*line);
    if (item.contains("end")) break;
    reading.is_cut = reading.rows.size() == most_top_rows;
    if (reading.is_cut) break;
    reading.rows.push_back(row_of(item, by));
  }
  reading.time = std::chrono::steady_clock::now();
  return reading;
}

}  // namespace swnat::ctl
