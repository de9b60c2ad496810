// What a lookup waits for: an index line that says which record line is meant. No engine has less,
// and the floor, whose two lines are known at once, does not show it.
#include <string>

#include "engine/family.h"
#include "engine/session.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"

namespace swnat::bench {

Rows memory(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u, 4'000'000u}) {
    if (effort.is_quick && sessions > 1'000'000) continue;
    Floor floor(sessions, sizeof(Session<Ipv4>));
    std::vector<Subject> subjects;
    for (const int batch : {32, 1}) {
      Row row;
      row.name = std::string("memory/chained/") + (batch == 1 ? "one" : "batch");
      row.sessions = sessions;
      subjects.push_back(
          {row, [&, batch] { return floor.measure_chained(effort.packets, batch); }});
    }
    for (Row& row : in_rounds(
             effort, [&] { return floor.measure(effort.packets); }, std::move(subjects))) {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace swnat::bench
