// Several models on one engine, each with tenants of its own, played by a thread each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/property/rehearsal.h"

namespace swnat::property {

class Crowd {
 public:
  static constexpr std::uint32_t workers = 4;
  static constexpr NamespaceId tenants_each = 2;
  static NamespaceRange tenants_of(std::uint32_t worker) {
    return {1 + worker * tenants_each, (worker + 1) * tenants_each};
  }
  static std::uint32_t worker_of(NamespaceId tenant) { return (tenant - 1) / tenants_each; }

  explicit Crowd(const Setup& setup);

  // Time, sweeping and configuring, while nobody else is at work. Throws Disagreement, as do the
  // others.
  void play_alone(const Step& step);
  // Each worker's part at the same time.
  void play_together(const std::function<void(std::uint32_t worker, Part& part)>& play);
  // All at rest: every session is somebody's, and no external endpoint has two owners.
  void check();

  Part& part(std::uint32_t worker) { return *parts_[worker]; }
  Time now() const { return stage_.now; }

 private:
  Stage stage_;
  std::vector<std::unique_ptr<Part>> parts_;
};

// As disagreement(), but what lies between two steps that are played alone is played by all workers
// at once.
std::string disagreement_together(const Setup& setup, const std::vector<Step>& steps);

}  // namespace swnat::property
