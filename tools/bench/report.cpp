#include "tools/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "tools/bench/bars.h"

namespace swnat::bench {
namespace {

// By the first part of the rows' names.
struct Heading {
  std::string_view group;
  std::string_view text;
};
constexpr Heading headings[] = {
    {"established", "Packets of established sessions: ns a packet"},
    {"threads", "The same by one and two threads: ns a packet, of all threads together"},
    {"new-session", "Packets that make a session: ns a packet"},
    {"first-answer", "First answers to such sessions, soon after: ns a packet"},
    {"evict-and-create", "Packets that make a session, for which another goes: ns a packet"},
    {"expire", "Sessions whose time is over: ns a session"},
    {"longest", "The longest single call: ns a call"},
    {"take-port", "A port given back and one taken, by percent in use: ns for both"},
    {"icmp-error", "ICMP errors about packets of sessions: ns a packet"},
    {"fragment", "Fragments: ns a packet"},
    {"checksum", "Full checksum, by bytes: ns each"},
    {"baseline", "What a first try would have, std::unordered_map and one mutex: ns a packet"},
};

std::string_view group_of(const Row& row) {
  return std::string_view(row.name).substr(0, row.name.find('/'));
}

std::string_view heading_of(std::string_view group) {
  const auto heading = std::ranges::find(headings, group, &Heading::group);
  return heading == std::end(headings) ? group : heading->text;
}

// In the order in which they come.
std::vector<std::string_view> groups_of(const Rows& rows) {
  std::vector<std::string_view> groups;
  for (const Row& row : rows) {
    if (std::ranges::find(groups, group_of(row)) == groups.end()) groups.push_back(group_of(row));
  }
  return groups;
}

class Pen {
 public:
  explicit Pen(Colours colours) : colours_(colours) {}

  std::string bold(std::string_view text) const { return with("1", text); }
  std::string green(std::string_view text) const { return with("32", text); }
  std::string red(std::string_view text) const { return with("31", text); }

 private:
  std::string with(std::string_view code, std::string_view text) const {
    if (colours_ == Colours::none) return std::string(text);
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }

  Colours colours_;
};

std::string sessions_text(std::uint64_t sessions) {
  if (sessions == 0) return "-";
  if (sessions % 1'000'000 == 0) return fmt::format("{} M", sessions / 1'000'000);
  if (sessions % 1000 == 0) return fmt::format("{} K", sessions / 1000);
  return std::to_string(sessions);
}

std::string number(double value) {
  return fmt::format("{:.{}f}", value, value < 1000 ? 1 : 0);
}

std::string line_of(std::size_t name_width, std::string_view name, std::string_view sessions,
                    std::string_view threads, std::string_view ns, std::string_view range,
                    std::string_view reference, std::string_view ratio, std::string_view bytes) {
  return fmt::format("{:<{}} {:>8} {:>7} {:>7} {:>15} {:>14} {:>6} {:>9}\n", name, name_width,
                     sessions, threads, ns, range, reference, ratio, bytes);
}

std::string row_text(const Row& row, std::size_t name_width) {
  return line_of(name_width, row.name, sessions_text(row.sessions), std::to_string(row.threads),
                 number(row.cost.median),
                 fmt::format("{}–{}", number(row.cost.min), number(row.cost.max)),
                 fmt::format("{} {}", row.against, number(row.reference.median)),
                 fmt::format("{:.2f}", row.ratio()),
                 row.bytes_per_session == 0 ? "-" : fmt::format("{:.0f}", row.bytes_per_session));
}

std::string rows_text(const Rows& rows, const Pen& pen) {
  std::size_t name_width = 0;
  for (const Row& row : rows) name_width = std::max(name_width, row.name.size());
  std::string text;
  for (const std::string_view group : groups_of(rows)) {
    text += fmt::format("\n{}\n", pen.bold(heading_of(group)));
    text += line_of(name_width, "name", "sessions", "threads", "ns", "min–max", "reference",
                    "ratio", "B/session");
    for (const Row& row : rows) {
      if (group_of(row) == group) text += row_text(row, name_width);
    }
  }
  return text;
}

std::string bar_text(const BarResult& result, const Pen& pen) {
  if (!result.worst) {
    return fmt::format("{:<6} {:>9}  {}  ({})\n", "-", "-", result.text, result.left_out);
  }
  const double value = result.worst->value;
  return fmt::format(
      "{} {:>9}  {}  ({})\n", result.worst->is_met ? pen.green("met   ") : pen.red("missed"),
      value < 100 ? fmt::format("{:.2f}", value) : number(value), result.text, result.worst->row);
}

// Those without a row in this run only by name: where few rows were asked for, they are many.
std::string bars_text(const Run& run, const Pen& pen) {
  std::string text;
  std::string others;
  for (const BarResult& result : held_against_bars(run)) {
    if (result.left_out == not_measured) {
      others += fmt::format("{}{}", others.empty() ? "" : ", ", result.name);
    } else {
      text += bar_text(result, pen);
    }
  }
  return others.empty() ? text : text + fmt::format("not measured: {}\n", others);
}

}  // namespace

std::string report_text(const Run& run, Colours colours) {
  const Pen pen(colours);
  std::string text =
      fmt::format("{}\n{}, {}\n{}, medians of {} rounds{}\n", run.machine.cpus, run.machine.kernel,
                  run.machine.compiler, run.date, run.rounds, run.is_quick ? ", quick" : "");
  text += rows_text(run.rows, pen);

  text += fmt::format("\n{}\n", pen.bold("Bars, each with the worst of its figures"));
  text += bars_text(run, pen);
  return text;
}

}  // namespace swnat::bench
