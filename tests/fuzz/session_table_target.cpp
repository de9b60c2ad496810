// The session table of one shard: whatever is added, changed and removed, every session is found by
// each of its keys, and nothing is found by a key that no session has.
#include <algorithm>

#include "engine/session/session_table.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

constexpr std::uint32_t capacity = 12;
constexpr Secret secret{5, 6, 7, 8};
constexpr KeyKind kinds[] = {KeyKind::inside_flow, KeyKind::outside_flow, KeyKind::internal,
                             KeyKind::external, KeyKind::permission};

using Table = SessionTable<Ipv4>;
using Key = Table::Key;
using Record = Table::Record;

class Trial {
 public:
  explicit Trial(Input& input)
      : input_(input),
        shares_mappings_(input.byte() % 2 == 0),
        records_(capacity),
        asides_(capacity),
        made_(capacity),
        table_({records_, asides_, made_, used_}, secret, shares_mappings_,
               std::make_shared<const ForwardNamespaces>()) {
    StateTimeouts timeouts{};
    timeouts.fill(5000);
    table_.set_timeouts(timeouts);
  }

  void run() {
    while (!input_.is_over()) {
      take_step();
      check();
    }
    while (!live_.empty()) remove(0);
    for (const Record& record : ever_) {
      for (const KeyKind kind : kinds) {
        require(table_.candidate(Key::of(record, kind).hash(secret)) == no_session,
                "an empty table's index has no entry");
      }
    }
  }

 private:
  void take_step() {
    const std::uint8_t choice = input_.byte();
    if (choice < 128) {
      add(now_ - choice % 2 * 1000U);
    } else if (live_.empty() || choice >= 224) {
      now_ += choice * 16U;
    } else if (choice < 200) {
      remove(input_.below(live_.size()));
    } else {
      table_[live_[input_.below(live_.size())]].last_active = now_;
    }
    while (choice % 4 == 0) {
      const SessionRef due = table_.next_due(now_);
      if (due == no_session) break;
      require(std::ranges::count(live_, due) == 1, "only sessions are looked at");
      if (table_.expired(table_[due], now_)) {
        remove(static_cast<std::size_t>(std::ranges::find(live_, due) - live_.begin()));
      }
    }
  }

  // A session as the shard makes it: its mapping is known if the table shares mappings. It need not
  // be the most recently active one.
  void add(Tick last_active) {
    const std::uint8_t who = input_.byte();
    Record record;
    record.protocol = (who & 1) == 0 ? protocol::udp : protocol::tcp;
    record.namespace_id = 1 + (who >> 1 & 1);
    record.inside = {{who & 4U}, {who & 24U}, static_cast<std::uint16_t>(who >> 5 & 1), 80};
    record.outside = {{77}, record.inside.remote, external_port(who), 80};
    record.last_active = last_active;
    if (!shares_mappings_) record.outside.local_port = static_cast<std::uint16_t>(who >> 6);
    if (table_.find(Key::of(record, KeyKind::inside_flow)) != no_session ||
        table_.find(Key::of(record, KeyKind::outside_flow)) != no_session) {
      return;
    }
    const SessionRef mapping =
        shares_mappings_ ? table_.find(Key::of(record, KeyKind::internal)) : no_session;
    const SessionRef ref = table_.allocate();
    require((ref == no_session) == (live_.size() == capacity), "there is room up to the capacity");
    if (ref == no_session) return;
    require(std::ranges::count(live_, ref) == 0, "a place is handed out once");
    table_.blank(ref) = record;
    table_.add(ref, (who & 1) == 0 ? SessionState::udp : SessionState::tcp_established, mapping,
               record.namespace_id, table_.hashes_of(ref).flows, now_);
    live_.push_back(ref);
    ever_.push_back(record);
  }

  // The same for the same mapping, and only for it.
  static std::uint16_t external_port(std::uint8_t who) {
    return static_cast<std::uint16_t>(1000 + (who & 0b0010'0111));
  }

  void remove(std::size_t which) {
    const SessionRef ref = live_[which];
    const Record record = table_[ref];
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(which));
    const bool has_others = std::ranges::any_of(live_, [&](SessionRef other) {
      return Key::of(record, KeyKind::internal).finds(table_[other]);
    });
    require(table_.remove(ref, table_.hashes_of(ref)) == (!shares_mappings_ || !has_others),
            "the last of a mapping is known as the last");
  }

  void check() {
    require(table_.count() == live_.size(), "the count is right");
    for (const SessionRef ref : live_) {
      for (const KeyKind kind : kinds) {
        const bool is_shared = kind != KeyKind::inside_flow && kind != KeyKind::outside_flow;
        const SessionRef found = table_.find(Key::of(table_[ref], kind));
        if (is_shared && !shares_mappings_) {
          require(found == no_session, "sessions that share nothing are found by their flows only");
        } else if (is_shared) {
          require(found != no_session && Key::of(table_[ref], kind).finds(table_[found]),
                  "a session of the mapping is found");
        } else {
          require(found == ref, "a session is found by its flows");
        }
      }
    }
    for (const std::uint32_t slot : {1U, 2U}) check_oldest(slot);
    std::vector<SessionView> out(capacity + 1);
    std::uint32_t position = 0;
    const auto is_live = [&](SessionRef ref) { return !table_.expired(table_[ref], now_); };
    require(static_cast<std::ptrdiff_t>(table_.copy({}, position, out, now_)) ==
                std::ranges::count_if(live_, is_live),
            "all live sessions are listed");
  }

  void check_oldest(std::uint32_t slot) {
    const SessionRef oldest = table_.first_to_go(slot);
    for (const SessionRef ref : live_) {
      if (table_[ref].namespace_id != slot) continue;
      require(oldest != no_session && table_[oldest].namespace_id == slot &&
                  elapsed(table_[oldest].last_active, table_[ref].last_active) >= 0,
              "the oldest session of a namespace is known");
    }
  }

  Input& input_;
  bool shares_mappings_;
  std::vector<Record> records_;
  std::vector<TcpAside> asides_;
  std::vector<Tick> made_;
  std::uint32_t used_ = 0;
  Table table_;
  Tick now_ = 0xffff'f000;
  std::vector<SessionRef> live_;
  std::vector<Record> ever_;
};

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  swnat::fuzz::Input input(data, size);
  swnat::fuzz::Trial(input).run();
  return 0;
}
