#include "tools/time_range.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "rules/text/utc_text.h"
#include "tools/swnatctl_connection.h"

namespace swnat::ctl {
namespace {

using std::chrono::milliseconds;
using Moment = std::chrono::sys_time<milliseconds>;

// Reads from the left; what does not fit makes all that follows fail.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  // A number of exactly so many digits, from `least` to `most`.
  int number(std::size_t digits, int least, int most) {
    int value = 0;
    const char* const end = rest_.data() + std::min(digits, rest_.size());
    const auto [stop, error] = std::from_chars(rest_.data(), end, value);
    const bool has_sign = !rest_.empty() && rest_[0] == '-';
    if (rest_.size() < digits || has_sign || error != std::errc{} || stop != end || value < least ||
        value > most) {
      is_wrong_ = true;
      return least;
    }
    rest_.remove_prefix(digits);
    return value;
  }
  void expect(std::string_view any_of) { is_wrong_ = !skip(any_of) || is_wrong_; }
  bool skip(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_[0]) == std::string_view::npos) return false;
    rest_.remove_prefix(1);
    return true;
  }
  char next() const { return rest_.empty() ? '\0' : rest_[0]; }
  bool is_right() const { return rest_.empty() && !is_wrong_; }

 private:
  std::string_view rest_;
  bool is_wrong_ = false;
};

struct Fraction {
  milliseconds value{0};
  milliseconds length{1000};  // what it leaves open
};

// Digits beyond milliseconds are left out.
Fraction fraction(Scanner& scan) {
  Fraction read;
  do {
    read.length /= 10;
    read.value += read.length * scan.number(1, 0, 9);
  } while (scan.next() >= '0' && scan.next() <= '9');
  read.length = std::max(read.length, milliseconds(1));
  return read;
}

std::chrono::minutes zone(Scanner& scan) {
  if (scan.next() == '\0' || scan.skip("Zz")) return {};
  const bool is_west = scan.next() == '-';
  scan.expect("+-");
  const std::chrono::hours hours(scan.number(2, 0, 23));
  scan.expect(":");
  const std::chrono::minutes offset = hours + std::chrono::minutes(scan.number(2, 0, 59));
  return is_west ? -offset : offset;
}

}  // namespace

TimeRange parse_time(std::string_view text) {
  Scanner scan(text);
  const std::chrono::year year(scan.number(4, 1970, 9999));
  scan.expect("-");
  const std::chrono::month month(static_cast<unsigned>(scan.number(2, 1, 12)));
  scan.expect("-");
  const std::chrono::day day(static_cast<unsigned>(scan.number(2, 1, 31)));
  scan.expect("Tt ");
  const std::chrono::hours hours(scan.number(2, 0, 23));
  scan.expect(":");
  milliseconds time = hours + std::chrono::minutes(scan.number(2, 0, 59));
  milliseconds length = std::chrono::minutes(1);
  if (scan.skip(":")) {
    time += std::chrono::seconds(scan.number(2, 0, 60));
    length = std::chrono::seconds(1);
    if (scan.skip(".")) {
      const Fraction read = fraction(scan);
      time += read.value;
      length = read.length;
    }
  }
  time -= zone(scan);
  const std::chrono::year_month_day date{year, month, day};
  if (!scan.is_right() || !date.ok()) {
    throw UsageError(fmt::format(
        "'{}' is no time (allowed: \"2026-11-29T12:00:00Z\", \"2026-11-29T13:00:00+01:00\", "
        "\"2026-11-29 12:00:00\" or \"2026-11-29 12:00\"; without a zone it is UTC)",
        text));
  }
  const Moment first = std::chrono::sys_days(date) + time;
  return {rules::utc_text(first), rules::utc_text(first + length - milliseconds(1))};
}

TimeRange range_of(std::chrono::system_clock::time_point time) {
  const std::string text = rules::utc_text(std::chrono::floor<milliseconds>(time));
  return {text, text};
}

}  // namespace swnat::ctl
