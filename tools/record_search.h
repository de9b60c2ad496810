// Who had an external port at some time: what the mapping log's records say.
//
// Theory of operation
//
// Lines come in the order in which they were written. Nearly all are about other ports, and are
// left as soon as the bytes show it: the time has a fixed width, so the event's name begins at a
// fixed place, and an endpoint is looked for as the text that it is. The few others are read as
// JSON. What made a hold opens one, what ended it closes it; sessions whose records tell no remote
// may share one. A log that begins without any session closes all.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/time_range.h"

namespace swnat::ctl {

struct SoughtEndpoint {
  std::string text;                   // as records have it
  std::string address;                // the same without a port, and without what follows it
  std::optional<std::uint16_t> port;  // or ICMP identifier; none for protocols without either
};

// An address, or one with a port: "203.0.113.1:40123", "[2001:db8::1]:40123". Throws Error.
SoughtEndpoint parse_sought(std::string_view text);

// A port that somebody had, from when to when.
struct Hold {
  std::string what;  // "mapping", "session" or "block"
  std::string namespace_name;
  std::uint32_t fwmark = 0;
  std::string protocol;  // empty: all, as the next one; it is a block
  std::string internal;
  std::string external;
  std::string remote;  // empty: the record tells none
  std::string from;    // empty: since before the log
  std::string until;   // empty: still
  std::string cause;   // of its end, if the log tells one
};

class RecordSearch {
 public:
  // `protocol` is a name as records have it; empty means any.
  RecordSearch(SoughtEndpoint endpoint, TimeRange at, std::string protocol);

  // A line without its end. Also what ends long after the time may tell of who had it then, so all
  // lines are to come.
  void take(std::string_view line);

  // All that were had at the time, as they come in the log.
  std::vector<Hold> holds() const;
  // Events that the log says it lacks, until that time.
  std::uint64_t lost() const { return lost_; }

 private:
  struct Open {
    Hold hold;
    std::uint64_t count = 0;  // of what shares it
  };

  bool is_about(std::string_view line) const;
  bool is_block_about(std::string_view line) const;
  void read(std::string_view line, std::string_view time);
  void begin(std::string_view line, std::string_view time);
  void close(Open& open, std::string_view time, std::string cause);
  bool was_then(const Hold& hold) const;

  SoughtEndpoint endpoint_;
  TimeRange at_;
  std::string protocol_;
  std::string endpoint_text_;  // as it stands in a line
  std::string block_text_;     // as it begins there
  std::map<std::string, Open> open_;
  std::vector<Hold> closed_;
  std::uint64_t lost_ = 0;
};

}  // namespace swnat::ctl
