// Random sequences of packets, time and configuration changes: the engine does what the model does.
#include <doctest/doctest.h>

#include <string>

#include "tests/property/campaign.h"
#include "tests/property/generator.h"
#include "tests/property/rehearsal.h"
#include "tests/property/shrink.h"

using namespace swnat;
using namespace swnat::property;

namespace {

constexpr std::uint32_t steps_max = 400;

bool fails(const Failure& failure) {
  try {
    return !disagreement(failure.setup, failure.steps).empty();
  } catch (const std::invalid_argument&) {
    return false;  // a configuration that the engine refuses
  }
}

struct Run {
  Failure played;
  std::string wrong;
  Counters counters{};
};

Run run(std::uint32_t seed) {
  Generator generator(seed);
  Run run;
  run.played.setup = generator.setup();
  Stage stage(run.played.setup);
  Part part(stage, {}, true);
  try {
    while (run.played.steps.size() < steps_max) {
      part.model().travel(stage.now);
      const Step step = generator.next(part.model(), run.played.setup.policies.size(), stage.now);
      run.played.steps.push_back(step);
      part.play(step);
    }
    part.check();
  } catch (const Disagreement& wrong) {
    run.wrong = wrong.what();
  }
  run.counters = stage.counters();
  return run;
}

}  // namespace

TEST_CASE("model: random sequences") {
  const std::uint32_t runs = campaign.runs != 0 ? campaign.runs : 150 * effort;
  Counters met{};
  for (std::uint32_t seed = campaign.seed; seed != campaign.seed + runs; ++seed) {
    CAPTURE(seed);  // should it crash
    const Run one = run(seed);
    for (std::size_t i = 0; i < reason_count; ++i) met[i] += one.counters[i];
    if (one.wrong.empty()) continue;
    const Failure failure = shrunk(one.played, fails);
    FAIL("--seed " << seed << " --runs 1: " << one.wrong << "\nafter " << one.played.steps.size()
                   << " steps; shrunk to " << failure.steps.size() << ": "
                   << disagreement(failure.setup, failure.steps) << "\n"
                   << as_test_case(failure.setup, failure.steps));
  }
  for (std::size_t i = 0; i < reason_count; ++i) MESSAGE(reasons[i].name << " " << met[i]);
}
