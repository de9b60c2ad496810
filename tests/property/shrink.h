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

// `fails` says whether a sequence does; `failure` does.
Failure shrunk(Failure failure, const std::function<bool(const Failure&)>& fails);

}  // namespace swnat::property
