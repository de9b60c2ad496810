#include "nfq/report.h"

#include <fmt/format.h>

#include <iterator>

namespace swnat::nfq {
namespace {

void add_queue(std::string& text, const QueueReport& queue) {
  fmt::format_to(std::back_inserter(text), "\nqueue {}:", queue.number);
  for (std::size_t i = 0; i < queue.counts.size(); ++i) {
    const bool is_basic = i <= static_cast<std::size_t>(QueueCounter::dropped);
    if (!is_basic && queue.counts[i] == 0) continue;
    fmt::format_to(std::back_inserter(text), " {} {}", queue_counter_infos[i].name,
                   queue.counts[i]);
  }
  if (!queue.kernel) return;
  fmt::format_to(std::back_inserter(text),
                 "; in the kernel: waiting {}, dropped because full {}, because of overflow {}",
                 queue.kernel->waiting, queue.kernel->dropped_full, queue.kernel->dropped_overflow);
}

void add_dropped_by_rules(std::string& text, const std::vector<RuleCounter>& dropped) {
  std::string lines;
  for (const RuleCounter& each : dropped) {
    if (each.packets == 0) continue;
    fmt::format_to(std::back_inserter(lines), "\n  {:<22} {:>12}", each.name, each.packets);
  }
  if (!lines.empty()) text += "\ndropped by rules:" + lines;
}

}  // namespace

std::string counters_text(const Counters& packets, const std::vector<RuleCounter>& dropped,
                          const std::vector<QueueReport>& queues) {
  std::string text = "packets by reason:";
  bool has_any = false;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (packets[i] == 0) continue;
    has_any = true;
    fmt::format_to(std::back_inserter(text), "\n  {:<22} {:>12}  {:<6}  {}", reasons[i].name,
                   packets[i], name_of(reasons[i].verdict), reasons[i].text);
  }
  if (!has_any) text += " none";
  add_dropped_by_rules(text, dropped);
  for (const QueueReport& queue : queues) add_queue(text, queue);
  return text;
}

}  // namespace swnat::nfq
