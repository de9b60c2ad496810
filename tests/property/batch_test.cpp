// What a batch does is what its packets do one after the other.
#include <doctest/doctest.h>

#include <map>
#include <set>
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

// A step's packets end their batch after one of these numbers, which the step's place chooses, so
// that a sequence that is played again has the same batches.
constexpr std::size_t batch_sizes[] = {1, 2, 3, 8, 31, 32, 33, 70};

std::set<std::string> names_of(const Engine& engine, Time now) {
  std::set<std::string> names;
  for (const SessionView& view : sessions_of(engine, now)) names.insert(name_of(view));
  return names;
}

// Two engines that are alike: one is given each packet alone, and a model judges it; the other has
// them in batches.
class Twins {
 public:
  explicit Twins(const Setup& setup)
      : alone_(setup),
        part_(alone_, {}, true),
        together_(options_of(setup), shared(setup.policies.front())) {
    part_.record_to(waiting_);
  }

  const Model& model() { return part_.model(); }
  Time now() const { return alone_.now; }
  void travel() { part_.model().travel(alone_.now); }

  // Throws Disagreement.
  void play(const Step& step) {
    const bool is_packet = step.what != What::travel && step.what != What::sweep &&
                           step.what != What::configure && step.what != What::flush;
    if (!is_packet) flush();
    if (step.what == What::flush) {
      Engine::Cursor cursor;
      while (together_.end_sessions(pattern_of(step, model()), cursor, alone_.now)) {
      }
    }
    if (step.what == What::configure) {
      together_.set_policy(shared(alone_.setup.policies[step.policy]), alone_.now);
    }
    if (step.what == What::sweep) sweep(together_, alone_.now);
    part_.play(step);
    if (waiting_.size() >= batch_sizes[steps_++ / 20 % std::size(batch_sizes)]) flush();
  }

  void flush() {
    std::vector<Bytes> bytes;
    std::vector<Packet> packets;
    for (const Played& one : waiting_) {
      bytes.push_back(one.draft.bytes);
      packets.push_back(packet_of(one.draft));
      packets.back().bytes = bytes.back();
    }
    together_.translate(packets, alone_.now);
    for (std::size_t i = 0; i < packets.size(); ++i) {
      compare(packets[i], bytes[i], waiting_[i], i);
    }
    waiting_.clear();
    if (names_of(together_, alone_.now) != names_of(alone_.engine, alone_.now)) {
      throw Disagreement("after a batch there are other sessions");
    }
  }

 private:
  // Identifications are the NAT's own, in an order of its own; but all fragments of a datagram
  // leave with one.
  void compare(const Packet& packet, Bytes bytes, const Played& alone, std::size_t place) {
    const auto wrong = [&](const std::string& what) {
      throw Disagreement("packet " + std::to_string(place) + " of a batch: " + what);
    };
    if (packet.reason != alone.packet.reason) {
      wrong(std::string(info(packet.reason).name) + ", alone " +
            std::string(info(alone.packet.reason).name));
    }
    if (packet.namespace_id != alone.packet.namespace_id) wrong("another namespace");
    if (packet.datagram != alone.packet.datagram) wrong("another datagram");
    if (packet.verdict() == Verdict::accept && is_fragment(bytes)) {
      const auto known =
          datagrams_.try_emplace(datagram_of(alone.bytes), datagram_of(bytes)).first->second;
      if (known != datagram_of(bytes)) wrong("another identification than its datagram's");
    }
    if (may_be_cut(bytes)) copy_identification(bytes, alone.bytes);
    if (with_one_header_zero(bytes) != with_one_header_zero(alone.bytes)) wrong("other bytes");
  }

  Stage alone_;
  Part part_;
  Engine together_;
  std::vector<Played> waiting_;
  std::map<Bytes, Bytes> datagrams_;  // as they leave alone, and as they leave in a batch
  std::uint32_t steps_ = 0;
};

std::string batch_disagreement(const Failure& failure) {
  Twins twins(failure.setup);
  try {
    for (const Step& step : failure.steps) twins.play(step);
    twins.flush();
  } catch (const Disagreement& wrong) {
    return wrong.what();
  }
  return {};
}

bool fails_in_batches(const Failure& failure) {
  try {
    return !batch_disagreement(failure).empty();
  } catch (const std::invalid_argument&) {
    return false;  // a configuration that the engine refuses
  }
}

}  // namespace

TEST_CASE("batches: as one after the other") {
  const std::uint32_t runs = campaign.runs != 0 ? campaign.runs : 200 * test::effort;
  for (std::uint32_t seed = campaign.seed; seed != campaign.seed + runs; ++seed) {
    CAPTURE(seed);
    Generator generator(seed);
    Failure played{generator.roomy_setup(), {}};
    Twins twins(played.setup);
    std::string wrong;
    try {
      while (played.steps.size() < steps_max) {
        twins.travel();
        played.steps.push_back(
            generator.next(twins.model(), played.setup.policies.size(), twins.now()));
        twins.play(played.steps.back());
      }
      twins.flush();
    } catch (const Disagreement& one) {
      wrong = one.what();
    }
    CHECK_EQ(wrong, "");
    if (wrong.empty()) continue;
    MESSAGE("--seed " << seed << " --runs 1: " << wrong);
    const Failure failure = shrunk(played, fails_in_batches, 5'000);
    FAIL("shrunk to " << failure.steps.size() << ": " << batch_disagreement(failure) << "\n"
                      << as_test_case(failure.setup, failure.steps));
  }
}
