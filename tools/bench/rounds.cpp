#include "tools/bench/rounds.h"

#include <algorithm>
#include <thread>

namespace swnat::bench {
namespace {

// The C library locks without atomic instructions as long as there never was a second thread.
// Programs that use the engine have threads, and no row may depend on which ones came before it.
void have_had_threads() {
  static const bool done = [] {
    std::thread([] {}).join();
    return true;
  }();
  keep(done);
}

}  // namespace

Sample sample_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

std::vector<Row> in_rounds(const Effort& effort, const Measurement& reference,
                           std::vector<Subject> subjects) {
  have_had_threads();
  std::vector<double> references;
  std::vector<std::vector<double>> costs(subjects.size());
  for (int round = 0; round < effort.rounds; ++round) {
    references.push_back(reference());
    for (std::size_t i = 0; i < subjects.size(); ++i) costs[i].push_back(subjects[i].measure());
  }
  std::vector<Row> rows;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    Row row = std::move(subjects[i].row);
    row.cost = sample_of(std::move(costs[i]));
    row.reference = sample_of(references);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace swnat::bench
