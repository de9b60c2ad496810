#include "tools/top_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <thread>

#include "tools/swnatctl_answer.h"
#include "tools/swnatctl_output.h"
#include "tools/time_of_day.h"
#include "tools/top_table.h"

namespace swnat::ctl {
namespace {

using Clock = std::chrono::steady_clock;

TopReading read(const std::string& socket, std::chrono::seconds patience,
                const TopControls& controls) {
  const Json request = top_request(controls.by, lately(controls.interval));
  Connection connection(socket, text_of_request(request), patience);
  return take_top_reading(connection, socket, controls.by);
}

std::string table_text(const TopModel& model, const TopOptions& options) {
  std::vector<const TopLine*> lines = model.lines(options.controls.order);
  if (options.limit != 0) lines.resize(std::min<std::size_t>(lines.size(), options.limit));
  const TopTable table = top_table(model.by(), lines);
  std::string text =
      fmt::format("{}: {}\n{}\n", time_of_day(std::time(nullptr)), top_summary(model), table.heads);
  for (const std::string& row : table.rows) text += row + '\n';
  return text;
}

}  // namespace

std::chrono::seconds lately(double interval) {
  constexpr double least = 10;
  return std::chrono::seconds(std::lround(std::max(least, 3 * std::ceil(interval))));
}

int top_batch(const std::string& socket, std::chrono::seconds patience, const TopOptions& options) {
  TopModel model;
  model.take(read(socket, patience, options.controls));
  const auto interval = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(options.controls.interval));
  auto next = Clock::now();
  for (std::uint64_t made = 0; options.count == 0 || made < options.count; ++made) {
    next = std::max(next + interval, Clock::now());
    std::this_thread::sleep_until(next);
    model.take(read(socket, patience, options.controls));
    const std::string text = table_text(model, options);
    if (print(made == 0 ? text : '\n' + text) != 0) return 1;
  }
  return 0;
}

}  // namespace swnat::ctl
