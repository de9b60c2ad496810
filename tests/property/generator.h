// Random configurations and steps. They are chosen where decisions are close: at the end of a
// timeout, at the edge of a TCP window, at the last free port, at the limit.
#pragma once

#include <deque>

#include "tests/property/model.h"
#include "tests/unit/dice.h"

namespace swnat::property {

class Generator {
 public:
  explicit Generator(std::uint32_t seed) : dice_(seed) {}

  Setup setup();
  // For several models beside each other, with tenants 1 to `tenants`: enough ports and room for
  // all.
  Setup crowd_setup(std::uint32_t shards, NamespaceId tenants);

  // The next step, which depends on what there is.
  Step next(const Model& model, std::size_t policies, Time now);
  // A packet only, of one of these tenants.
  Step packet(const Model& model, NamespaceRange tenants);
  Step travel(const Model& model, Time now);

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

  test::Dice dice_;
  std::deque<Step> recent_;  // flows that may have sessions no longer, or none yet
};

}  // namespace swnat::property
