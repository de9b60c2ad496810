// Random sequences: what an outlook says is what then happens, and asking for it changes nothing.
#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "tests/property/campaign.h"
#include "tests/property/generator.h"
#include "tests/property/rehearsal.h"
#include "tests/property/shrink.h"
#include "tests/support/effort.h"

using namespace swnat;
using namespace swnat::property;

namespace {

constexpr std::uint32_t steps_max = 300;

struct Tally {
  Counters foretold{};                       // by reason
  std::array<std::uint64_t, 7> by_source{};  // of what left, by ExternalSource
  std::uint64_t evictions = 0;
};

// All that an engine shows of itself.
std::string shown(const Engine& engine, Time now) {
  std::string all;
  const auto add = [&](auto number) { all += std::to_string(number) + ' '; };
  for (const SessionView& view : sessions_of(engine, now)) {
    all += name_of(view) + ' ' + std::string(view.state) + ' ';
    add(view.idle.count());
    add(view.traffic.outbound.packets + view.traffic.inbound.packets);
  }
  for (const std::uint64_t count : engine.counters()) add(count);
  for (const std::uint64_t count : engine.ended_sessions()) add(count);
  add(engine.session_count());
  for (const NamespaceUse& use : engine.namespaces()) {
    add(use.sessions);
    add(use.ports);
    add(use.port_blocks);
    add(use.evicted);
    add(use.refused);
  }
  for (const ForwardUse& use : engine.forwards()) add(use.sessions);
  for (const PortBlockView& block : engine.port_blocks()) {
    add(block.namespace_id);
    add(block.ports.first);
    add(block.ports.last);
    add(block.rests);
  }
  for (const PortUse& use : engine.ports(now)) {
    add(use.used);
    add(use.resting);
    add(use.withheld);
    add(use.free);
  }
  return all;
}

// What an outlook is asked about; nothing for fragments, errors, and what the gate lets nobody
// have.
std::optional<Question> question_of(const Draft& draft) {
  if (is_fragment(draft.bytes)) return {};
  const Message message = read(draft.bytes);
  const bool is_inbound = draft.direction == Direction::inbound;
  if (message.kind == Kind::icmp_error || message.kind == Kind::icmp_other) return {};
  if (message.kind == Kind::echo_request && is_inbound) return {};
  if (message.kind == Kind::echo_reply && !is_inbound) return {};
  return Question{.direction = draft.direction,
                  .namespace_id = draft.tenant,
                  .protocol = message.protocol,
                  .source = message.ends.source,
                  .destination = message.ends.destination};
}

bool opens(const Draft& draft) {
  const Message message = read(draft.bytes);
  constexpr std::uint8_t all = flag::syn | flag::ack | flag::rst | flag::fin;
  return message.kind != Kind::tcp || (message.segment.fields.flags & all) == flag::syn;
}

bool is_about_room(Reason reason) {
  return reason == Reason::session_limit || reason == Reason::port_limit ||
         reason == Reason::table_full || reason == Reason::no_free_port;
}

// Beside the engine that is asked there is another, which is given the same and never asked.
class Asker : public Onlooker {
 public:
  Asker(Stage& stage, Tally& tally)
      : stage_(stage),
        tally_(tally),
        unasked_(options_of(stage.setup), shared(stage.setup.policies.front())) {}

  Engine& unasked() { return unasked_; }

  void before(const Draft& draft) override {
    outlook_.reset();
    const auto question = question_of(draft);
    if (!question) return;
    const std::string seen = shown(stage_.engine, stage_.now);
    outlook_ = stage_.engine.outlook(*question, stage_.now);
    if (shown(stage_.engine, stage_.now) != seen) throw Disagreement("asking changed something");
    evicted_ = stage_.engine.ended_sessions()[static_cast<std::size_t>(EndCause::evicted)];
  }

  void after(const Played& played) override {
    if (outlook_) compare(played);
    Bytes bytes = played.draft.bytes;
    Packet packet = packet_of(played.draft);
    packet.bytes = bytes;
    unasked_.translate({&packet, 1}, stage_.now);
    if (packet.reason != played.packet.reason) throw Disagreement("unasked it is another reason");
    if (packet.namespace_id != played.packet.namespace_id || bytes != played.bytes) {
      throw Disagreement("unasked it is another packet");
    }
    if (sessions_of(unasked_, stage_.now).size() != stage_.sessions().size()) {
      throw Disagreement("unasked there are other sessions");
    }
  }

 private:
  void compare(const Played& played) {
    const auto& sent = outlook_->outbound;
    const auto& received = outlook_->inbound;
    const bool has_all_sessions =
        (!sent || sent->session) && (!received || received->session) && (sent || received);
    if (!opens(played.draft) && !has_all_sessions) return;
    const Reason real = played.packet.reason;
    if (outlook_->evicts_receivers) return;
    if (outlook_->reason != real) {
      if (outlook_->is_overdue && is_about_room(outlook_->reason)) return;
      throw Disagreement("foretold " + std::string(info(outlook_->reason).name) + ", but it is " +
                         std::string(info(real).name));
    }
    ++tally_.foretold[static_cast<std::size_t>(real)];
    compare_evictions();
    if (verdict_of(real) != Verdict::accept || real == Reason::untranslated) return;
    const Ends ends = read(played.bytes).ends;
    if (sent) compare_outside(*sent, ends, real == Reason::translated_hairpin);
    if (received && verdict_of(received->reason) == Verdict::accept &&
        ends.destination != received->internal) {
      throw Disagreement("foretold to " + text(received->internal) + ", but it goes to " +
                         text(ends.destination));
    }
  }

  void compare_evictions() {
    const bool is_foretold = (outlook_->outbound && outlook_->outbound->evicted) ||
                             (outlook_->inbound && outlook_->inbound->evicted);
    const std::uint64_t now_evicted =
        stage_.engine.ended_sessions()[static_cast<std::size_t>(EndCause::evicted)];
    // What is over may be freed before anybody has to go.
    if (outlook_->is_overdue && now_evicted == evicted_) return;
    if (is_foretold != (now_evicted != evicted_)) throw Disagreement("another one was evicted");
    if (!is_foretold) return;
    ++tally_.evictions;
    const SessionView& gone = outlook_->outbound && outlook_->outbound->evicted
                                  ? *outlook_->outbound->evicted
                                  : *outlook_->inbound->evicted;
    const auto left = stage_.sessions();
    const bool is_there = std::ranges::any_of(left, [&](const SessionView& one) {
      return one.namespace_id == gone.namespace_id && one.internal == gone.internal &&
             one.protocol == gone.protocol && one.remote == gone.remote && one.idle == gone.idle &&
             one.idle.count() > 0;
    });
    if (is_there) throw Disagreement("another session was evicted than was foretold");
  }

  void compare_outside(const OutboundOutlook& sent, const Ends& ends, bool is_hairpin) {
    ++tally_.by_source[static_cast<std::size_t>(sent.source)];
    if (sent.source == ExternalSource::none) throw Disagreement("foretold no external endpoint");
    const bool is_open = sent.source == ExternalSource::any ||
                         (sent.source == ExternalSource::chosen && outlook_->is_overdue);
    const bool is_met =
        is_open ? ends.source.address == sent.external.address : ends.source == sent.external;
    if (!is_met) {
      throw Disagreement("foretold to leave as " + text(sent.external) + ", but it leaves as " +
                         text(ends.source));
    }
    IpEndpoint to = sent.remote;
    if (!is_hairpin && ends.destination != to) throw Disagreement("it is sent elsewhere");
  }

  Stage& stage_;
  Tally& tally_;
  Engine unasked_;
  std::optional<Outlook> outlook_;
  std::uint64_t evicted_ = 0;
};

class Asked {
 public:
  Asked(const Setup& setup, Tally& tally)
      : stage_(setup), part_(stage_, {}, true), asker_(stage_, tally) {
    part_.show_to(asker_);
  }

  Model& model() { return part_.model(); }
  Time now() const { return stage_.now; }

  // Throws Disagreement.
  void play(const Step& step) {
    Engine& unasked = asker_.unasked();
    if (step.what == What::flush) {
      Engine::Cursor cursor;
      while (unasked.end_sessions(pattern_of(step, model()), cursor, now())) {
      }
    }
    if (step.what == What::configure) {
      unasked.set_policy(shared(stage_.setup.policies[step.policy]), now());
    }
    if (step.what == What::sweep) sweep(unasked, now());
    part_.play(step);
  }

 private:
  Stage stage_;
  Part part_;
  Asker asker_;
};

std::string outlook_disagreement(const Failure& failure) {
  Tally tally;
  Asked asked(failure.setup, tally);
  try {
    for (const Step& step : failure.steps) asked.play(step);
  } catch (const Disagreement& wrong) {
    return wrong.what();
  }
  return {};
}

}  // namespace

TEST_CASE("outlook: what is foretold happens, and asking changes nothing") {
  const std::uint32_t runs = campaign.runs != 0 ? campaign.runs : 100 * test::effort;
  Tally tally;
  for (std::uint32_t seed = campaign.seed; seed != campaign.seed + runs; ++seed) {
    CAPTURE(seed);
    Generator generator(seed);
    Failure played{generator.setup(), {}};
    Asked asked(played.setup, tally);
    std::string wrong;
    try {
      while (played.steps.size() < steps_max) {
        asked.model().travel(asked.now());
        played.steps.push_back(
            generator.next(asked.model(), played.setup.policies.size(), asked.now()));
        asked.play(played.steps.back());
      }
    } catch (const Disagreement& found) {
      wrong = found.what();
    }
    if (wrong.empty()) continue;
    const auto fails = [](const Failure& one) { return !outlook_disagreement(one).empty(); };
    const Failure failure = shrunk(played, fails, 5'000);
    FAIL("--seed " << seed << " --runs 1: " << wrong << "; shrunk to " << failure.steps.size()
                   << " steps: " << outlook_disagreement(failure) << "\n"
                   << as_test_case(failure.setup, failure.steps));
  }
  constexpr std::uint32_t runs_that_meet_all = 1000;
  if (runs < runs_that_meet_all) return;
  for (const Reason reason :
       {Reason::translated_outbound, Reason::translated_inbound, Reason::translated_hairpin,
        Reason::untranslated, Reason::unknown_namespace, Reason::no_external_address,
        Reason::dropped_by_rule, Reason::no_mapping, Reason::filtered, Reason::session_limit,
        Reason::port_limit, Reason::table_full, Reason::no_free_port, Reason::remote_in_use,
        Reason::hairpin_off, Reason::invalid_address}) {
    CAPTURE(info(reason).name);
    CHECK_GT(tally.foretold[static_cast<std::size_t>(reason)], 0);
  }
  for (const ExternalSource source :
       {ExternalSource::session, ExternalSource::mapping, ExternalSource::forward,
        ExternalSource::own, ExternalSource::chosen, ExternalSource::any}) {
    CAPTURE(static_cast<int>(source));
    CHECK_GT(tally.by_source[static_cast<std::size_t>(source)], 0);
  }
  CHECK_GT(tally.evictions, 0);
}
