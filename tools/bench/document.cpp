#include "tools/bench/document.h"

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "tools/bench/bars.h"

namespace swnat::bench {
namespace {

Json row_document(const Row& row, int rounds) {
  return {{"name", row.name},
          {"sessions", row.sessions},
          {"threads", row.threads},
          {"ns_per_packet", row.cost.median},
          {"ns_min", row.cost.min},
          {"ns_max", row.cost.max},
          {"floor_ns", row.reference.median},
          {"floor_min", row.reference.min},
          {"floor_max", row.reference.max},
          {"reference", row.against},
          {"ratio", row.ratio()},
          {"bytes_per_session",
           row.bytes_per_session == 0 ? Json(nullptr) : Json(row.bytes_per_session)},
          {"rounds", rounds}};
}

// Rows only refer to the names of references, which the program's own have for ever.
std::string_view kept(const std::string& text) {
  static std::set<std::string, std::less<>> texts;
  return *texts.insert(text).first;
}

Row row_of(const Json& document) {
  Row row;
  row.name = document.at("name");
  row.sessions = document.at("sessions");
  row.threads = document.at("threads");
  row.cost = {document.at("ns_per_packet"), document.at("ns_min"), document.at("ns_max")};
  row.reference = {document.at("floor_ns"), document.at("floor_min"), document.at("floor_max")};
  row.against = kept(document.at("reference"));
  const Json& bytes = document.at("bytes_per_session");
  row.bytes_per_session = bytes.is_null() ? 0 : bytes.get<double>();
  return row;
}

}  // namespace

Json document_of(const Run& run) {
  Json document = {{"machine", run.machine.cpus},
                   {"avx2", run.machine.has_avx2},
                   {"kernel", run.machine.kernel},
                   {"compiler", run.machine.compiler},
                   {"date", run.date},
                   {"quick", run.is_quick}};
  Json& rows = document["rows"] = Json::array();
  for (const Row& row : run.rows) rows.push_back(row_document(row, run.rounds));
  Json bars = Json::object();
  Json left_out = Json::object();
  for (const BarResult& result : held_against_bars(run)) {
    if (!result.worst) {
      left_out[std::string(result.name)] = result.left_out;
      continue;
    }
    bars[std::string(result.name)] = {{"bar", result.text},
                                      {"limit", result.limit},
                                      {"measured", result.worst->value},
                                      {"met", result.worst->is_met},
                                      {"row", result.worst->row}};
  }
  document["bars"] = std::move(bars);
  document["bars_left_out"] = std::move(left_out);
  return document;
}

Run run_of(const Json& document) {
  Run run;
  run.machine = {.cpus = document.at("machine"),
                 .has_avx2 = document.at("avx2"),
                 .kernel = document.at("kernel"),
                 .compiler = document.at("compiler")};
  run.date = document.at("date");
  run.is_quick = document.at("quick");
  for (const Json& row : document.at("rows")) {
    run.rows.push_back(row_of(row));
    run.rounds = row.at("rounds");
  }
  return run;
}

}  // namespace swnat::bench
