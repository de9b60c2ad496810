#include "tools/swnatctl_top.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <ctime>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "rules/terminal/arguments.h"
#include "tools/time_of_day.h"
#include "tools/top_poller.h"
#include "tools/top_screen.h"
#include "tools/top_table.h"

namespace swnat::ctl {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t ending_signal = 0;

void remember_signal(int signal) {
  ending_signal = signal;
}

// Signals come only while it waits for keys, so that none is overlooked, and none comes to the
// poller's thread.
class TopSignals {
 public:
  TopSignals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) ::sigaddset(&set, signal);
    ::pthread_sigmask(SIG_BLOCK, &set, &before_);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      ::sigdelset(&before_, signal);
      std::signal(signal, remember_signal);
    }
    ::sigdelset(&before_, SIGWINCH);
  }

  // Until a key was pressed, the file is readable, the time has come, or the size has changed.
  // False at the end of the terminal.
  bool wait(int fd, Clock::time_point until) const {
    std::array<pollfd, 2> ready{pollfd{STDIN_FILENO, POLLIN, 0}, pollfd{fd, POLLIN, 0}};
    const auto rest = std::max(until - Clock::now(), Clock::duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(rest);
    const timespec limit{seconds.count(), std::chrono::nanoseconds(rest - seconds).count()};
    const int count = ::ppoll(ready.data(), ready.size(), &limit, &before_);
    if (count < 0) return errno == EINTR;
    return (ready[0].revents & (POLLHUP | POLLERR | POLLNVAL)) == 0;
  }

 private:
  sigset_t before_;
};

class Top {
 public:
  Top(const std::string& socket, std::chrono::seconds patience, const TopOptions& options)
      : limit_(options.limit), controls_(options.controls), poller_(socket, patience) {}

  void run() {
    ask();
    while (ending_signal == 0) {
      draw();
      if (!signals_.wait(poller_.fd(), controls_.is_paused ? Clock::now() + longest_wait : due_)) {
        return;
      }
      if (!press_keys()) return;
      take_answer();
      if (!controls_.is_paused && Clock::now() >= due_) ask();
    }
  }

 private:
  static constexpr std::chrono::hours longest_wait{1};
  static constexpr std::size_t first_line = 4;  // below the heads

  std::size_t page() const { return screen_.rows() - std::min(screen_.rows(), first_line + 1); }

  // A question that is under way is not asked again; what comes of it is looked at.
  void ask() {
    const auto interval = std::chrono::duration<double>(controls_.interval);
    due_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(interval);
    poller_.ask(controls_.by, lately(controls_.interval));
  }

  bool press_keys() {
    while (const auto key = screen_.key()) {
      const TopControls::Effect effect = controls_.press(*key, page());
      if (effect == TopControls::Effect::quit) return false;
      if (effect == TopControls::Effect::ask) ask();
    }
    return true;
  }

  void take_answer() {
    auto answer = poller_.take();
    if (!answer) return;
    if (answer->reading && answer->reading->by != controls_.by) return ask();
    fault_ = std::move(answer->fault);
    if (answer->reading) {
      model_.take(std::move(*answer->reading));
      read_at_ = std::time(nullptr);
    }
  }

  void draw() {
    screen_.clear();
    if (controls_.mode() == TopControls::Mode::help) {
      std::size_t row = 0;
      for (const std::string& line : top_help()) screen_.draw(row++, line);
    } else {
      draw_table();
      draw_last_line();
    }
    screen_.show();
  }

  std::string title() const {
    const TopOrder& order = controls_.order;
    return fmt::format("swnatctl top  {}  by {}, sorted by {}{}  every {:g} s{}",
                       read_at_ == 0 ? "--:--:--" : time_of_day(read_at_),
                       controls_.by == TopBy::namespaces ? "namespace" : "session",
                       name_of(order.sort), order.is_reverse ? " (reverse)" : "",
                       controls_.interval, controls_.is_paused ? "  paused" : "");
  }

  void draw_table() {
    using Look = TopScreen::Look;
    screen_.draw(0, title(), Look::strong);
    screen_.draw(1, top_summary(model_));
    if (!fault_.empty()) screen_.draw(2, fault_, Look::alarm);
    std::vector<const TopLine*> lines = model_.lines(controls_.order);
    if (limit_ != 0) lines.resize(std::min<std::size_t>(lines.size(), limit_));
    const std::size_t skipped = controls_.skipped(lines.size(), page());
    const auto shown = std::span<const TopLine* const>(lines).subspan(skipped);
    const auto on_page = shown.first(std::min(shown.size(), page()));
    const TopTable table = top_table(model_.by(), on_page);
    screen_.draw(first_line - 1, table.heads, Look::head);
    for (std::size_t i = 0; i < on_page.size(); ++i) {
      const TopRow& row = on_page[i]->row;
      const bool is_full = row.session_limit != 0 && row.sessions >= row.session_limit;
      screen_.draw(first_line + i, table.rows[i], is_full ? Look::alarm : Look::plain);
    }
  }

  void draw_last_line() {
    if (screen_.rows() <= first_line) return;
    const std::size_t last = screen_.rows() - 1;
    std::string text = "h help  q quit";
    switch (controls_.mode()) {
      case TopControls::Mode::filter:
        text = "/" + controls_.input();
        break;
      case TopControls::Mode::interval:
        text = fmt::format("seconds ({:g} to {:g}): {}", shortest_interval, longest_interval,
                           controls_.input());
        break;
      default:
        if (!controls_.order.filter.empty()) text = "filter: " + controls_.order.filter;
        screen_.draw(last, text);
        return;
    }
    screen_.draw(last, text);
    screen_.show_cursor(last, text.size());
  }

  std::uint64_t limit_;
  TopControls controls_;
  TopSignals signals_;  // before threads are made
  TopScreen screen_;
  TopPoller poller_;
  TopModel model_;
  std::string fault_;
  std::time_t read_at_ = 0;
  Clock::time_point due_;
};

}  // namespace

void add_top_options(CLI::App& command, TopOptions& options) {
  TopControls& controls = options.controls;
  command.add_flag("-b,--batch", options.is_batch, "print tables, without a terminal");
  command.add_option("-n,--count", options.count, "with --batch: so many tables; 0: without end")
      ->type_name("N");
  command.add_option("-i,--interval", controls.interval, "between two looks")
      ->type_name("SECONDS")
      ->check(CLI::Range(shortest_interval, longest_interval))
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--by",
          [&controls](const std::string& text) {
            controls.by = text == "session" ? TopBy::sessions : TopBy::namespaces;
          },
          "what a line is about")
      ->type_name("WHAT")
      ->check(rules::one_of({"namespace", "session"}));
  std::vector<std::string> keys;
  for (const TopSortKey& each : top_sort_keys) keys.emplace_back(each.name);
  command
      .add_option_function<std::string>(
          "--sort",
          [&controls](const std::string& text) {
            controls.order.sort = std::ranges::find(top_sort_keys, text, &TopSortKey::name)->sort;
          },
          "the largest comes first")
      ->type_name("KEY")
      ->check(rules::one_of(keys));
  command.add_flag("--reverse", controls.order.is_reverse, "the largest comes last");
  command.add_option("--filter", controls.order.filter, "only lines whose names contain it")
      ->type_name("TEXT");
  command.add_option("--limit", options.limit, "so many lines; 0: all")->type_name("N");
}

int top(const std::string& socket, std::chrono::seconds patience, const TopOptions& options) {
  if (options.is_batch) return top_batch(socket, patience, options);
  Top(socket, patience, options).run();
  if (ending_signal == 0 || ending_signal == SIGINT) return 0;
  // As if it had not been caught, now that the terminal is what it was.
  const int signal = ending_signal;
  std::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  std::raise(signal);
  return 1;
}

}  // namespace swnat::ctl
