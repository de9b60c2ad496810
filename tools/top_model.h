// The lines of `swnatctl top`: rates by difference, sorted, filtered.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/top_reading.h"

namespace swnat::ctl {

enum class TopSort { bytes, packets, outbound, inbound, sessions, made, ports, name };

struct TopSortKey {
  TopSort sort;
  char key;  // that chooses it
  const char* name;
  const char* help;
};

inline constexpr TopSortKey top_sort_keys[] = {
    {TopSort::bytes, 'b', "bytes", "bytes a second, both ways"},
    {TopSort::packets, 'p', "packets", "packets a second, both ways"},
    {TopSort::outbound, 'o', "out", "bytes a second that it sends"},
    {TopSort::inbound, 'i', "in", "bytes a second that it gets"},
    {TopSort::sessions, 's', "sessions", "sessions"},
    {TopSort::made, 'm', "new", "new sessions a second"},
    {TopSort::ports, 't', "ports", "external ports"},
    {TopSort::name, 'n', "name", "namespace and endpoints, by the alphabet"},
};
const char* name_of(TopSort sort);

// A second.
struct TopRates {
  double packets_out = 0;
  double bytes_out = 0;
  double packets_in = 0;
  double bytes_in = 0;
  double sessions_made = 0;  // of a namespace

  TopRates& operator+=(const TopRates& other);
};

struct TopLine {
  TopRow row;
  std::optional<TopRates> rates;  // of what the last reading had too
};

// Which lines are shown, and in which order.
struct TopOrder {
  TopSort sort = TopSort::bytes;
  bool is_reverse = false;  // the largest comes last
  std::string filter = {};  // is somewhere in a line's names, in whatever case; "": all
};

class TopModel {
 public:
  // A reading of something else than the last one begins anew.
  void take(TopReading reading);

  const std::vector<TopLine>& lines() const { return lines_; }
  std::vector<const TopLine*> lines(const TopOrder& order) const;
  // Of all lines together.
  TopRates total() const;
  std::uint64_t sessions() const;
  bool is_cut() const { return is_cut_; }
  TopBy by() const { return by_; }

 private:
  struct Before {
    TopTraffic outbound;
    TopTraffic inbound;
    std::uint64_t sessions_made;
  };

  TopBy by_ = TopBy::namespaces;
  std::chrono::steady_clock::time_point time_;
  bool is_cut_ = false;
  std::vector<TopLine> lines_;
  std::unordered_map<std::string, Before> before_;  // by what names a row
};

}  // namespace swnat::ctl
