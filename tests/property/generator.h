// Random configurations and steps. They are chosen where decisions are close: at the end of a
// timeout, at the edge of a TCP window, at the last free port, at the limit.
#pragma once

#include <deque>

#include "tests/property/model.h"
#include "tests/support/dice.h"

namespace swnat::property {

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : dice_(seed) {}

  Setup setup();
  // For several models beside each other, with tenants 1 to `tenants`: enough ports and room for
  // all.
  Setup crowd_setup(std::uint32_t shards, NamespaceId tenants);

  // In which sessions mean little to each other: no limit is met, none is as old as another, and
  // none ends but by time.
  Setup roomy_setup();

  // The next step, which depends on what there is.
  Step next(const Model& model, std::size_t policies, Time now);
  // A packet only, of one of these tenants.
  Step packet(const Model& model, NamespaceRange tenants);
  Step travel(const Model& model, Time now);
  Step flush(const Model& model, NamespaceRange tenants);

 private:
  template <class Choice>
  Choice one_of(std::initializer_list<Choice> choices) {
    return choices.begin()[dice_.below(static_cast<std::uint32_t>(choices.size()))];
  }
  Policy policy();
  Policy changed(Policy policy);
  void choose_namespaces(Policy& policy);
  void choose_blocks(Policy& policy);
  void choose_block_sizes(Policy& policy);
  void choose_rules(Policy& policy);
  Timeouts timeouts();
  Step flow(const Model& model, NamespaceRange tenants);
  Step any_flow(NamespaceRange tenants);
  void vary(Step& step);
  void aim(Step& step, const Model& model);
  void dress(Step& step);
  void cut(Step& step);

  test::Dice dice_;
  std::deque<Step> recent_;  // flows that may have sessions no longer, or none yet
};

}  // namespace swnat::property
