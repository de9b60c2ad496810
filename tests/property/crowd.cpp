#include "tests/property/crowd.h"

#include <thread>

namespace swnat::property {
namespace {

bool is_alone(const Step& step) {
  return step.what == What::travel || step.what == What::sweep || step.what == What::configure;
}

}  // namespace

Crowd::Crowd(const Setup& setup) : stage_(setup) {
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    parts_.push_back(std::make_unique<Part>(stage_, tenants_of(worker), false));
  }
}

void Crowd::play_alone(const Step& step) {
  switch (step.what) {
    case What::travel:
      stage_.now += step.time;
      break;
    case What::sweep:
      stage_.sweep();
      for (const auto& one : parts_) one->model().swept(stage_.now);
      break;
    default: {
      const Policy& policy = stage_.setup.policies[step.policy];
      stage_.engine.set_policy(std::make_shared<const Policy>(policy), stage_.now);
      for (const auto& one : parts_) one->configure(policy);
      break;
    }
  }
  for (const auto& one : parts_) one->model().travel(stage_.now);
}

void Crowd::play_together(const std::function<void(std::uint32_t worker, Part& part)>& play) {
  std::vector<std::string> wrong(workers);
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t worker = 0; worker < workers; ++worker) {
      threads.emplace_back([&, worker] {
        try {
          play(worker, *parts_[worker]);
        } catch (const Disagreement& found) {
          wrong[worker] = "worker " + std::to_string(worker) + ": " + found.what();
        }
      });
    }
  }
  for (const std::string& one : wrong) {
    if (!one.empty()) throw Disagreement(one);
  }
}

void Crowd::check() {
  std::map<std::string, std::string> owners;
  for (const auto& one : parts_) {
    one->check();
    one->model().check_traffic(true);
    const bool per_remote = one->model().policy().mapping == Mapping::address_and_port_dependent;
    for (const ModelSession& session : one->model().sessions()) {
      std::string external = std::to_string(session.protocol) + " " + text(session.external);
      if (per_remote) external += " to " + text(session.outside_remote);
      const std::string internal = std::to_string(session.tenant) + " " + text(session.internal);
      const auto [owner, added] = owners.try_emplace(external, internal);
      if (!added && owner->second != internal) {
        throw Disagreement(external + " belongs to " + owner->second + " and " + internal);
      }
    }
  }
}

std::string disagreement_together(const Setup& setup, const std::vector<Step>& steps) {
  Crowd crowd(setup);
  try {
    for (auto step = steps.begin(); step != steps.end();) {
      if (is_alone(*step)) {
        crowd.play_alone(*step++);
        continue;
      }
      const auto end = std::find_if(step, steps.end(), is_alone);
      crowd.play_together([&](std::uint32_t worker, Part& part) {
        for (auto one = step; one != end; ++one) {
          if (Crowd::worker_of(one->from.tenant) == worker) part.play(*one);
        }
      });
      crowd.check();
      step = end;
    }
  } catch (const Disagreement& wrong) {
    return wrong.what();
  }
  return {};
}

}  // namespace swnat::property
