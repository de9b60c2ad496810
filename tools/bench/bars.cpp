#include "tools/bench/bars.h"

#include <algorithm>
#include <string>

namespace swnat::bench {
namespace {

constexpr std::uint64_t small = 10'000;
constexpr std::uint64_t medium = 1'000'000;
constexpr std::uint64_t large = 4'000'000;

constexpr std::string_view batched = "established/*/*/*/batch";

// Of the rows that a bar is about.
struct Figure {
  double value;
  std::string_view row;
};
struct Figures {
  std::vector<Figure> all;
  std::string_view none = not_measured;
};

enum class Limit { at_most, at_least };

struct Bar {
  std::string_view name;
  std::string_view text;
  Limit kind;
  double limit;
  Figures (*figures)(const Run& run);
};

// Part by part; "*" is any part.
bool fits(std::string_view name, std::string_view pattern) {
  for (;;) {
    const std::size_t end = std::min(name.find('/'), name.size());
    const std::size_t pattern_end = std::min(pattern.find('/'), pattern.size());
    const std::string_view part = pattern.substr(0, pattern_end);
    if (part != "*" && part != name.substr(0, end)) return false;
    if (end == name.size() || pattern_end == pattern.size()) {
      return end == name.size() && pattern_end == pattern.size();
    }
    name.remove_prefix(end + 1);
    pattern.remove_prefix(pattern_end + 1);
  }
}

const Row* find(const Run& run, std::string_view name, std::uint64_t sessions,
                unsigned threads = 1) {
  const auto row = std::ranges::find_if(run.rows, [&](const Row& one) {
    return one.name == name && one.sessions == sessions && one.threads == threads;
  });
  return row == run.rows.end() ? nullptr : &*row;
}

std::optional<double> ratio(const Row& row) {
  return row.reference.median == 0 ? std::nullopt : std::optional(row.ratio());
}

// How many times as much as the other row.
std::optional<double> cost_against(const Row& row, const Row* other) {
  if (other == nullptr || other->cost.median == 0) return {};
  return row.cost.median / other->cost.median;
}

// `value` of each row that fits, where it has one. 0 sessions: any number.
template <class Value>
Figures each(const Run& run, std::string_view pattern, std::uint64_t sessions, Value value) {
  Figures figures;
  for (const Row& row : run.rows) {
    if (!fits(row.name, pattern) || (sessions != 0 && row.sessions != sessions)) continue;
    if (const std::optional<double> figure = value(row)) figures.all.push_back({*figure, row.name});
  }
  return figures;
}

// Only where the memory is fast enough for it.
Figures cost_of_small_table(const Run& run) {
  constexpr double floor_max = 25;
  bool is_too_slow = false;
  Figures figures = each(run, batched, small, [&](const Row& row) -> std::optional<double> {
    const Row* larger = find(run, row.name, medium);
    if (larger == nullptr) return {};
    if (larger->reference.median <= floor_max) return row.cost.median;
    is_too_slow = true;
    return {};
  });
  if (is_too_slow) figures.none = "does not apply: the floor at 1 M is above 25 ns";
  return figures;
}

// (cost / cost of the small table) / (floor / floor of the small table)
Figures growth_against_floor(const Run& run) {
  return each(run, batched, large, [&](const Row& row) -> std::optional<double> {
    const Row* smaller = find(run, row.name, small);
    if (smaller == nullptr || smaller->ratio() == 0) return {};
    return row.ratio() / smaller->ratio();
  });
}

Figures growth_of_new_session(const Run& run) {
  return each(run, "new-session/*/*", large,
              [&](const Row& row) { return cost_against(row, find(run, row.name, small)); });
}

Figures eviction_against_one_namespace(const Run& run) {
  return each(run, "evict-and-create/namespaces-10000", 0, [&](const Row& row) {
    return cost_against(row, find(run, "evict-and-create/namespaces-1", row.sessions));
  });
}

// Packets of two threads in the time in which one thread translates one.
Figures speed_of_two_threads(const Run& run, std::string_view name) {
  return each(run, name, medium, [&](const Row& row) -> std::optional<double> {
    const Row* alone = row.threads == 2 ? find(run, name, medium) : nullptr;
    if (alone == nullptr || row.cost.median == 0) return {};
    return alone->cost.median / row.cost.median;
  });
}

Figures memory(const Run& run, std::string_view pattern) {
  return each(run, pattern, medium, [](const Row& row) {
    return row.bytes_per_session == 0 ? std::nullopt : std::optional(row.bytes_per_session);
  });
}

Figures cost_against_ipv4(const Run& run) {
  return each(run, "established/*/ipv6/*/batch", medium, [&](const Row& row) {
    std::string name = row.name;
    name.replace(name.find("ipv6"), 4, "ipv4");
    return cost_against(row, find(run, name, medium));
  });
}

Figures checksum_against_memcpy(const Run& run) {
  if (!run.machine.has_avx2) return {{}, "does not apply: the CPU has no AVX2"};
  return each(run, "checksum/*", 0, ratio);
}

constexpr Bar bars[] = {
    {"established-1m", "established IPv4, batch 32, 1 M: ≤ 1.5 × floor", Limit::at_most, 1.5,
     [](const Run& run) { return each(run, "established/*/ipv4/*/batch", medium, ratio); }},
    {"established-10k", "established, batch 32, 10 K: ≤ 20 ns (floor at 1 M ≤ 25 ns)",
     Limit::at_most, 20, cost_of_small_table},
    {"one-at-a-time", "established, one at a time, 1 M: ≤ 5 × batched floor", Limit::at_most, 5,
     [](const Run& run) { return each(run, "established/*/*/*/one", medium, ratio); }},
    {"growth", "established, batch 32, 4 M / 10 K: ≤ 1.2 × the floor's growth", Limit::at_most, 1.2,
     growth_against_floor},
    {"new-session-growth", "new session, 4 M / 10 K: ≤ 3 ×", Limit::at_most, 3,
     growth_of_new_session},
    {"new-session-4m", "new session, 4 M: ≤ 12 × floor", Limit::at_most, 12,
     [](const Run& run) { return each(run, "new-session/*/*", large, ratio); }},
    {"evict-and-create", "evict and create, 10,000 namespaces / 1: ≤ 2 ×", Limit::at_most, 2,
     eviction_against_one_namespace},
    {"threads-steered", "two threads, steered, 1 M: ≥ 1.8 × one thread's packets", Limit::at_least,
     1.8, [](const Run& run) { return speed_of_two_threads(run, "threads/steered"); }},
    {"threads-unsteered", "two threads, unsteered, 1 M: ≥ 1.0 × one thread's packets",
     Limit::at_least, 1,
     [](const Run& run) { return speed_of_two_threads(run, "threads/unsteered"); }},
    {"memory-ipv4", "memory, IPv4, 1 M: ≤ 192 bytes a session", Limit::at_most, 192,
     [](const Run& run) { return memory(run, "established/*/ipv4/*/*"); }},
    {"memory-ipv6", "memory, IPv6, 1 M: ≤ 384 bytes a session", Limit::at_most, 384,
     [](const Run& run) { return memory(run, "established/*/ipv6/*/*"); }},
    {"ipv6", "established IPv6, batch 32, 1 M: ≤ 1.6 × IPv4's", Limit::at_most, 1.6,
     cost_against_ipv4},
    {"checksum", "full checksum, 1500 B and 64 KB, with AVX2: ≤ 1.3 × memcpy", Limit::at_most, 1.3,
     checksum_against_memcpy},
    {"longest-call", "longest call of expire, or of an insert: ≤ 100,000 ns", Limit::at_most,
     100'000,
     [](const Run& run) {
       return each(run, "longest/*", 0,
                   [](const Row& row) { return std::optional(row.cost.median); });
     }},
};

BarResult held_against(const Bar& bar, const Run& run) {
  BarResult result{
      .name = bar.name, .text = bar.text, .limit = bar.limit, .worst = {}, .left_out = {}};
  const Figures figures = bar.figures(run);
  if (figures.all.empty()) {
    result.left_out = figures.none;
    return result;
  }
  const bool is_at_most = bar.kind == Limit::at_most;
  const auto [least, most] = std::ranges::minmax_element(figures.all, {}, &Figure::value);
  const Figure& worst = is_at_most ? *most : *least;
  result.worst = {worst.value, worst.row,
                  is_at_most ? worst.value <= bar.limit : worst.value >= bar.limit};
  return result;
}

}  // namespace

std::vector<BarResult> held_against_bars(const Run& run) {
  std::vector<BarResult> results;
  for (const Bar& bar : bars) results.push_back(held_against(bar, run));
  return results;
}

}  // namespace swnat::bench
