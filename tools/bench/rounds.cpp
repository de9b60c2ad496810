#include "tools/bench/rounds.h"

#include <algorithm>

namespace swnat::bench {

Sample sample_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values[values.size() / 2], values.front(), values.back()};
}

std::vector<Row> in_rounds(const Effort& effort, const Measurement& reference,
                           std::vector<Subject> subjects) {
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
