// The memory alone, in the order in which an engine can ask for it. The floor, whose two lines are
// known at once, does not show that.
#include "engine/base/memory.h"

#include <array>
#include <cstdint>
#include <string>

#include "engine/base/index.h"
#include "engine/session/session.h"
#include "engine/wire/family.h"
#include "tools/bench/chunks.h"
#include "tools/bench/floor.h"
#include "tools/bench/rows.h"

namespace swnat::bench {
namespace {

constexpr std::size_t batch = batch_size;

// Tables as large as the engine's. The first word of a line is random, the second is zero.
class Lines {
 public:
  explicit Lines(std::uint32_t sessions)
      : flows_(Index::lines_for(sessions * std::uint64_t{2})),
        mappings_(Index::lines_for(sessions * std::uint64_t{3})),
        records_(sessions),
        links_(sessions),
        random_(sessions) {
    for (auto* table : {&flows_, &mappings_, &records_, &links_}) {
      for (std::size_t i = 0; i < table->size(); ++i) (*table)[i].words[0] = random_.next();
    }
  }

  // Any lookup: a line of the index, which says which record is meant.
  void look_up_batch() {
    std::array<const Line*, batch> lines;
    for (const Line*& line : lines) line = asked_for(flows_, random_.next());
    for (const Line*& line : lines) line = asked_for(records_, line->words[0]);
    std::uint64_t sum = 0;
    for (const Line* line : lines) sum += line->words[0];
    keep(sum);
  }
  void look_up_one() { keep(record_of(random_.next()).words[0]); }
  // Begins when the one before has come.
  void look_up_alone() { zero_ = record_of(random_.next() + zero_).words[1]; }

  // What a session that is made looks at and writes: the bucket of each of its entries, its own
  // record and links, which follow the last one's; and where it joins a mapping, as every other one
  // does, that mapping's record and links, which say where its entries belong.
  void make_sessions() {
    struct Session {
      Line* inside;
      Line* internal;
      Line* outside;
      Line* permission;
      Line* external;
      Line* other_record;
      Line* other_links;
      Line* record;
      Line* links;
    };
    std::array<Session, batch> sessions;
    for (std::size_t i = 0; i < batch; ++i) {
      Session& one = sessions[i];
      one.inside = asked_for(flows_, random_.next());
      one.internal = asked_for(mappings_, random_.next());
      next_ = next_ + 1 == records_.size() ? 0 : next_ + 1;
      one.record = &records_[next_];
      one.links = &links_[next_];
      __builtin_prefetch(one.record);
      __builtin_prefetch(one.links);
      if (joins(i)) continue;
      one.outside = asked_for(flows_, random_.next());
      one.permission = asked_for(mappings_, random_.next());
      one.external = asked_for(mappings_, random_.next());
    }
    for (std::size_t i = 0; i < batch; ++i) {
      if (!joins(i)) continue;
      const std::uint64_t mapping = sessions[i].internal->words[0];
      sessions[i].other_record = asked_for(records_, mapping);
      sessions[i].other_links = asked_for(links_, mapping);
    }
    for (std::size_t i = 0; i < batch; ++i) {
      if (!joins(i)) continue;
      const std::uint64_t endpoint = sessions[i].other_record->words[0];
      sessions[i].outside = asked_for(flows_, endpoint);
      sessions[i].permission = asked_for(mappings_, mix(endpoint));
    }
    for (std::size_t i = 0; i < batch; ++i) {
      const Session& one = sessions[i];
      for (Line* line : {one.inside, one.outside, one.permission, one.record, one.links}) {
        line->words[2] += i;
      }
      for (Line* line : {one.internal, joins(i) ? one.other_links : one.external}) {
        line->words[2] += i;
      }
    }
  }

 private:
  static bool joins(std::size_t i) { return i % 2 != 0; }

  static Line* asked_for(ReservedArray<Line>& table, std::uint64_t number) {
    Line* line = &table[(number >> 32) * table.size() >> 32];
    __builtin_prefetch(line);
    return line;
  }

  const Line& record_of(std::uint64_t number) {
    return *asked_for(records_, asked_for(flows_, number)->words[0]);
  }

  ReservedArray<Line> flows_;
  ReservedArray<Line> mappings_;
  ReservedArray<Line> records_;
  ReservedArray<Line> links_;
  SplitMix random_;
  std::uint64_t zero_ = 0;
  std::size_t next_ = 0;
};

struct Kind {
  const char* name;
  void (Lines::*step)();
  std::uint32_t packets;  // of a step
};
constexpr Kind kinds[] = {
    {"memory/chained/batch", &Lines::look_up_batch, batch},
    {"memory/chained/one", &Lines::look_up_one, 1},
    {"memory/chained/alone", &Lines::look_up_alone, 1},
    {"memory/new-session", &Lines::make_sessions, batch},
};

// Nanoseconds for each packet, after an eighth that brings the caches to where they would be.
double measure(Lines& lines, const Kind& kind, std::uint32_t packets) {
  const auto repeat = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; i += kind.packets) (lines.*kind.step)();
  };
  repeat(packets / 8);
  const auto start = Clock::now();
  repeat(packets);
  return nanoseconds_since(start) / packets;
}

}  // namespace

Rows memory(const Effort& effort) {
  Rows rows;
  for (const std::uint32_t sessions : {10'000u, 1'000'000u, 4'000'000u}) {
    if (effort.is_quick && sessions > 1'000'000) continue;
    Floor floor(sessions, sizeof(Session<Ipv4>));
    Lines lines(sessions);
    std::vector<Subject> subjects;
    for (const Kind& kind : kinds) {
      subjects.push_back({{.name = kind.name, .sessions = sessions},
                          [&] { return measure(lines, kind, effort.packets); }});
    }
    for (Row& row : in_rounds(
             effort, [&] { return floor.measure(effort.packets); }, std::move(subjects))) {
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

}  // namespace swnat::bench
