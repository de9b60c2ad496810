// Makes a failing sequence short: steps are left out, then simplified, for as long as it still
// fails.
#pragma once

#include <functional>

#include "tests/property/step.h"

namespace swnat::property {

struct Failure {
  Setup setup;
  std::vector<Step> steps;
};

// `fails` says whether a sequence does, and is asked `attempts` times at most; `failure` does.
Failure shrunk(Failure failure, const std::function<bool(const Failure&)>& fails,
               std::uint32_t attempts);

// Whether the steps, played one after the other, show a disagreement.
bool fails_alone(const Failure& failure);

}  // namespace swnat::property
