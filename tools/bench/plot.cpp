// Both axes are logarithmic. On such a cost axis equal ratios are equal distances: a line that
// keeps its distance to the floor grows no faster than the memory does. And a packet of 20 ns and
// one of 1000 ns are both to be read, which an axis from 0 would not allow.
#include "tools/bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace swnat::bench {
namespace {

constexpr double width = 920;
constexpr double height = 560;
constexpr double left = 76;
constexpr double right = 650;  // labels stand beyond
constexpr double top = 74;
constexpr double bottom = 452;
constexpr double label_height = 19;

enum class Shown { cost, reference };

struct Series {
  std::string_view label;
  std::string_view row;
  Shown shown;
  std::string_view colour;
};
constexpr Series series[] = {
    {"hash map and a mutex", "baseline/map-and-mutex", Shown::cost, "#7a7a7a"},
    {"new session, UDP IPv4", "new-session/udp/ipv4", Shown::cost, "#b5541c"},
    {"established, UDP IPv6", "established/udp/ipv6/mixed/batch", Shown::cost, "#8a3ffc"},
    {"established, TCP IPv4", "established/tcp/ipv4/mixed/batch", Shown::cost, "#0f7b57"},
    {"established, UDP IPv4", "established/udp/ipv4/mixed/batch", Shown::cost, "#0f62fe"},
    {"floor: two cache lines", "established/udp/ipv4/mixed/batch", Shown::reference, "#161616"},
};

struct Line {
  const Series* series;
  std::map<double, Sample> points;  // by sessions
};

std::vector<Line> lines_of(const Run& run) {
  std::vector<Line> lines;
  for (const Series& one : series) {
    Line line{&one, {}};
    for (const Row& row : run.rows) {
      const Sample& sample = one.shown == Shown::cost ? row.cost : row.reference;
      // Nothing else has a place on logarithmic axes.
      if (row.name != one.row || row.sessions == 0 || sample.min <= 0) continue;
      line.points[static_cast<double>(row.sessions)] = sample;
    }
    if (!line.points.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

// From 1, 2 or 5 times a power of ten to the next but one.
double step_below(double value) {
  const double power = std::pow(10, std::floor(std::log10(value)));
  return value >= 5 * power ? 5 * power : value >= 2 * power ? 2 * power : power;
}

double step_after(double step) {
  const double power = std::pow(10, std::floor(std::log10(step * 1.01)));
  return step > 4 * power ? 10 * power : step > 1.5 * power ? 5 * power : 2 * power;
}

struct Axis {
  double first;  // value at `from`
  double last;   // value at `to`
  double from;
  double to;
  double place(double value) const {
    if (first == last) return (from + to) / 2;
    return from + (to - from) * std::log(value / first) / std::log(last / first);
  }
};

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char character : text) {
    switch (character) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        // XML has no way to write control characters.
        safe += static_cast<unsigned char>(character) < ' ' ? ' ' : character;
    }
  }
  return safe;
}

std::string text_at(double x, double y, std::string_view attributes, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, attributes,
                     escaped(text));
}

std::string straight(double x1, double y1, double x2, double y2, std::string_view attributes) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1,
                     x2, y2, attributes);
}

std::string count_text(double sessions) {
  if (sessions >= 1e6) return fmt::format("{:g} M", sessions / 1e6);
  return sessions >= 1e3 ? fmt::format("{:g} K", sessions / 1e3) : fmt::format("{:g}", sessions);
}

std::string cost_text(double nanoseconds) {
  return fmt::format("{:.{}f}", nanoseconds, nanoseconds < 10 ? 1 : 0);
}

class Drawing {
 public:
  explicit Drawing(const Run& run) : run_(run), lines_(lines_of(run)) {
    if (lines_.empty()) throw std::runtime_error("no row that the plot shows was measured");
    const Line& any = lines_.front();
    double cost_min = any.points.begin()->second.min;
    double cost_max = cost_min;
    across_ = {any.points.begin()->first, any.points.begin()->first, left + 30, right - 30};
    for (const Line& line : lines_) {
      for (const auto& [sessions, sample] : line.points) {
        across_.first = std::min(across_.first, sessions);
        across_.last = std::max(across_.last, sessions);
        cost_min = std::min(cost_min, sample.min);
        cost_max = std::max(cost_max, sample.max);
      }
    }
    up_ = {step_below(cost_min), step_after(step_below(cost_max)), bottom, top};
  }

  std::string svg() const {
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" "
               "width=\"{0:g}\" height=\"{1:g}\" font-family=\"sans-serif\" font-size=\"13\" "
               "fill=\"#333\">\n<title>{2}</title>\n"
               "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
               width, height, title) +
           text_at(left, 34, "font-size=\"19\" fill=\"#111\"", title) +
           text_at(
               left, 56, "fill=\"#555\"",
               "one thread, batches of 32; of established sessions, half of the packets inbound") +
           axes() + lines() + labels() + footer() + "</svg>\n";
  }

 private:
  static constexpr std::string_view title = "Cost of a packet over the number of sessions";

  std::string axes() const {
    std::string text;
    for (double cost = up_.first; cost < up_.last * 1.01; cost = step_after(cost)) {
      const double y = up_.place(cost);
      text += straight(left, y, right, y, "stroke=\"#ddd\"");
      text += text_at(left - 8, y + 4, "text-anchor=\"end\"", fmt::format("{:g}", cost));
    }
    std::map<double, bool> sizes;
    for (const Line& line : lines_) {
      for (const auto& point : line.points) sizes[point.first] = true;
    }
    for (const auto& size : sizes) {
      const double x = across_.place(size.first);
      text += straight(x, bottom, x, bottom + 6, "stroke=\"#333\"");
      text += text_at(x, bottom + 22, "text-anchor=\"middle\"", count_text(size.first));
    }
    const double middle = (top + bottom) / 2;
    return text + straight(left, bottom, right, bottom, "stroke=\"#333\"") +
           text_at((left + right) / 2, bottom + 44, "text-anchor=\"middle\"",
                   "sessions in the table (logarithmic)") +
           text_at(24, middle,
                   fmt::format("text-anchor=\"middle\" transform=\"rotate(-90 24 {:g})\"", middle),
                   "nanoseconds a packet (logarithmic)");
  }

  std::string lines() const {
    std::string text;
    for (const Line& line : lines_) {
      const bool is_floor = line.series->shown == Shown::reference;
      std::string corners;
      text += fmt::format("<g stroke=\"{0}\" fill=\"{0}\">\n", line.series->colour);
      for (const auto& [sessions, sample] : line.points) {
        const double x = across_.place(sessions);
        const double y = up_.place(sample.median);
        corners += fmt::format("{:.1f},{:.1f} ", x, y);
        text += straight(x, up_.place(sample.min), x, up_.place(sample.max),
                         "stroke-width=\"5\" stroke-opacity=\"0.3\"");
        text += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.2\"/>\n", x, y);
      }
      text += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke-width=\"2\"{}/>\n</g>\n",
                          corners, is_floor ? " stroke-dasharray=\"7 4\"" : "");
    }
    return text;
  }

  // Each beside the end of its line, but none over another.
  std::string labels() const {
    struct Label {
      const Line* line;
      double x;  // of the line's end
      double end;
      double y;
    };
    std::vector<Label> labels;
    for (const Line& line : lines_) {
      const auto& [sessions, sample] = *line.points.rbegin();
      const double y = up_.place(sample.median);
      labels.push_back({&line, across_.place(sessions), y, y});
    }
    std::ranges::sort(labels, {}, &Label::end);
    for (std::size_t i = 1; i < labels.size(); ++i) {
      labels[i].y = std::max(labels[i].y, labels[i - 1].y + label_height);
    }
    double lowest = bottom - 4;
    for (std::size_t i = labels.size(); i-- > 0; lowest = labels[i].y - label_height) {
      labels[i].y = std::min(labels[i].y, lowest);
    }
    std::string text;
    for (const Label& label : labels) {
      const Series& one = *label.line->series;
      text += straight(label.x + 6, label.end, right + 8, label.y,
                       fmt::format("stroke=\"{}\" stroke-opacity=\"0.35\"", one.colour));
      text += text_at(right + 12, label.y + 4, fmt::format("fill=\"{}\"", one.colour),
                      fmt::format("{}: {} ns", one.label,
                                  cost_text(label.line->points.rbegin()->second.median)));
    }
    return text;
  }

  std::string footer() const {
    return text_at(left, height - 40, "font-size=\"11\" fill=\"#555\"",
                   fmt::format("Medians of {} rounds; the pale strokes reach from the least to the "
                               "most. Numbers: at the end of each line.",
                               run_.rounds)) +
           text_at(left, height - 20, "font-size=\"11\" fill=\"#555\"",
                   fmt::format("{} · {} · {} · {}", run_.machine.cpus, run_.machine.kernel,
                               run_.machine.compiler, run_.date));
  }

  const Run& run_;
  std::vector<Line> lines_;
  Axis across_{};
  Axis up_{};
};

}  // namespace

std::string plot_svg(const Run& run) {
  return Drawing(run).svg();
}

}  // namespace swnat::bench
