#include "nfq/log_output.h"

#include <utility>

#include "nfq/log.h"

namespace swnat::nfq {

void LogBatch::clear() {
  records_.clear();
  text_.clear();
  ends_.clear();
}

void LogBatch::add(const LogRecord& record) {
  records_.push_back(record);
  append_json(text_, record, destinations_);
  ends_.push_back(text_.size());
}

std::string_view LogBatch::line(std::size_t i) const {
  const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
  return std::string_view(text_).substr(begin, ends_[i] - begin);
}

LogOutput::LogOutput(LogOutputKind kind, std::string where, LogCounters& counters)
    : kind_(kind),
      where_(std::move(where)),
      counters_(counters.outputs[static_cast<std::size_t>(kind)]) {}

void LogOutput::write(const LogBatch& batch, Time now) {
  const std::size_t count = batch.records().size();
  if (has_failed_ && now < retry_at_) return lose(count);
  const Taken taken = attempt(batch, now);
  counters_.records += taken.records;
  if (taken.fault.empty()) {
    if (std::exchange(has_failed_, false)) {
      log(Priority::notice, "the mapping log's {} ({}) is written again", name_of(kind_), where_);
    }
    return;
  }
  lose(count - taken.records);
  fail(taken.fault, now);
}

LogOutput::Taken LogOutput::attempt(const LogBatch& batch, Time now) {
  if (missing_ != 0) {
    LogBatch gap(false);
    gap.add({.time = batch.records().front().time, .event = {.count = missing_}});
    Taken told = take(gap, now);
    if (!told.fault.empty()) return {0, std::move(told.fault)};
    missing_ = 0;
  }
  return take(batch, now);
}

void LogOutput::tick(Time now) {
  if (has_failed_ && now < retry_at_) return;
  if (const std::string fault = keep(now); !fault.empty()) fail(fault, now);
}

void LogOutput::reopen() {
  close();
  retry_at_ = {};
}

void LogOutput::fail(const std::string& fault, Time now) {
  ++counters_.errors;
  retry_at_ = now + retry_pause;
  if (std::exchange(has_failed_, true)) return;
  log(Priority::error,
      "the mapping log's {} ({}) cannot be written: {}; records are missing there until it can",
      name_of(kind_), where_, fault);
}

void LogOutput::lose(std::uint64_t records) {
  missing_ += records;
  counters_.lost += records;
}

}  // namespace swnat::nfq
