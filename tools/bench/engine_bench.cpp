// engine-bench: what the engine costs, beside what the memory alone would.
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>

#include "tools/bench/rows.h"

int main(int argc, char**) {
  using namespace swnat::bench;
  Effort effort;
  if (argc > 1) effort.is_quick = true;
  try {
    Rows rows;
    for (const auto group : {established, threads, new_session, evict, expiry, ports, errors,
                             fragments, sums, baseline}) {
      std::ranges::move(group(effort), std::back_inserter(rows));
    }
    for (const Row& row : rows) {
      fmt::print("{:45} {:>9} {:7.1f} {:7.1f} {:7.1f}  floor {:6.1f}  {:5.2f}  {:5.0f} B\n", row.name, row.sessions,
                 row.cost.median, row.cost.min, row.cost.max, row.reference.median, row.ratio(), row.bytes_per_session);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "engine-bench: {}\n", error.what());
    return 1;
  }
}
