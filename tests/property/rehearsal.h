// One engine and its models, playing steps: after every step they must agree.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/property/model.h"

namespace swnat::property {

// A step as a packet.
struct Draft {
  Direction direction = Direction::outbound;
  NamespaceId tenant = 0;
  ChecksumState checksum = ChecksumState::complete;
  Bytes bytes;
};
// Names become endpoints as the model has them now.
Draft draft_of(const Step& step, const Model& model);

// An engine with a clock.
class Stage : public Witness {
 public:
  explicit Stage(const Setup& setup);

  std::vector<SessionView> sessions() override;
  std::map<Room, std::uint32_t> counts() override;
  std::map<NamespaceId, std::uint32_t> ports() override;
  std::vector<PortBlockView> blocks() override { return engine.port_blocks(); }
  void sweep();
  Counters counters() const { return engine.counters(); }

  const Setup setup;
  Engine engine;
  Time now;
};

// One model's part on a stage that others may share. Throws Disagreement.
class Part {
 public:
  Part(Stage& stage, NamespaceRange tenants, bool owns_ports);

  // Travel, sweeping and configuring are the stage's, when others share it: then only packets.
  void play(const Step& step);
  void configure(const Policy& policy) { model_.configure(policy, stage_.now); }
  void check() { model_.check_sessions(stage_.now); }
  Model& model() { return model_; }

 private:
  void play_packet(const Step& step);

  Stage& stage_;
  Model model_;
  std::uint32_t played_ = 0;
};

// What is wrong first when the steps are played on a new engine; empty if nothing is.
std::string disagreement(const Setup& setup, const std::vector<Step>& steps);

}  // namespace swnat::property
