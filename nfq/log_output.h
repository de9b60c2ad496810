// A place that the mapping log's records go to, and how it fares.
//
// Theory of operation
//
// An output takes records or says why not; it never waits for longer than `longest_wait`. One that
// has failed is told once in the daemon's log, and left alone until `retry_pause` is over. What it
// has missed meanwhile is counted, and told in the output itself, as a record of the kind `lost`,
// before the next record that it takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nfq/log_record.h"
#include "swnat/engine.h"

namespace swnat::nfq {

// X(name)
#define SWNAT_LOG_OUTPUTS(X) \
  X(file)                    \
  X(journal)                 \
  X(syslog)                  \
  X(ipfix)

enum class LogOutputKind : std::uint8_t {
#define X(name) name,
  SWNAT_LOG_OUTPUTS(X)
#undef X
};
inline constexpr std::string_view log_output_names[] = {
#define X(name) #name,
    SWNAT_LOG_OUTPUTS(X)
#undef X
};
inline constexpr std::size_t log_output_count = std::size(log_output_names);
constexpr std::string_view name_of(LogOutputKind kind) {
  return log_output_names[static_cast<std::size_t>(kind)];
}

struct LogOutputCounters {
  std::atomic<std::uint64_t> records{0};  // that it took
  std::atomic<std::uint64_t> lost{0};     // that it did not take
  std::atomic<std::uint64_t> errors{0};   // attempts that failed
};

// Outlive a change of the configuration.
struct LogCounters {
  std::atomic<std::uint64_t> records{0};
  std::atomic<std::uint64_t> lost{0};  // events of which no record could be made
  LogOutputCounters outputs[log_output_count];
};

// Records, and the same as lines of JSON.
class LogBatch {
 public:
  explicit LogBatch(bool destinations) : destinations_(destinations) {}

  void clear();
  void add(const LogRecord& record);

  bool empty() const { return records_.empty(); }
  std::span<const LogRecord> records() const { return records_; }
  const std::string& text() const { return text_; }
  // With its end.
  std::string_view line(std::size_t i) const;

 private:
  bool destinations_;
  std::vector<LogRecord> records_;
  std::string text_;
  std::vector<std::size_t> ends_;
};

// Functions: one thread.
class LogOutput {
 public:
  static constexpr Time retry_pause{5000};
  static constexpr Time longest_wait{100};

  // `where` is for people.
  LogOutput(LogOutputKind kind, std::string where, LogCounters& counters);
  virtual ~LogOutput() = default;
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;

  void write(const LogBatch& batch, Time now);
  // Called about once a second, also when there is nothing to write.
  void tick(Time now);
  // Begins anew with whatever now has its name, at once.
  void reopen();

 protected:
  struct Taken {
    std::size_t records = 0;
    std::string fault;  // empty: all
  };

 private:
  virtual Taken take(const LogBatch& batch, Time now) = 0;
  // Returns what is wrong, if anything.
  virtual std::string keep(Time /*now*/) { return {}; }
  virtual void close() = 0;

  Taken attempt(const LogBatch& batch, Time now);
  void fail(const std::string& fault, Time now);
  void lose(std::uint64_t records);

  LogOutputKind kind_;
  std::string where_;
  LogOutputCounters& counters_;
  std::uint64_t missing_ = 0;  // records, not told yet
  bool has_failed_ = false;
  Time retry_at_{0};
};

}  // namespace swnat::nfq
