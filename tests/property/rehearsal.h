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
// The packets that a draft comes as: itself, or its fragments, which have this number.
std::vector<Draft> arrivals(const Step& step, Draft draft, std::uint32_t number);

Packet packet_of(const Draft& draft);  // but for its bytes

// What was given to an engine, and what came of it.
struct Played {
  Draft draft;
  Bytes bytes;
  Packet packet;
};
SessionPattern pattern_of(const Step& step, const Model& model);

// An engine with a clock.
class Stage : public Witness {
 public:
  explicit Stage(const Setup& setup);

  std::vector<SessionView> sessions() override { return sessions({}); }
  std::vector<SessionView> sessions(const SessionPattern& pattern);
  std::size_t end_sessions(const SessionPattern& pattern);
  // What was told since the last call; for one part only.
  std::vector<Event> events();
  std::map<Room, std::uint32_t> counts() override;
  std::map<NamespaceId, std::uint32_t> ports() override;
  std::map<NamespaceId, TwoWayTraffic> traffic() override;
  std::vector<PortBlockView> blocks() override { return engine.port_blocks(); }
  void sweep();
  Counters counters() const { return engine.counters(); }
  Played give(Draft draft);

  const Setup setup;
  Engine engine;
  Time now;
};

// Who sees each packet before it is given to the engine, and what came of it.
class Onlooker {
 public:
  virtual ~Onlooker() = default;
  virtual void before(const Draft& draft) = 0;
  virtual void after(const Played& played) = 0;
};

// One model's part on a stage that others may share. Throws Disagreement.
class Part {
 public:
  Part(Stage& stage, NamespaceRange tenants, bool owns_ports);

  // Travel, sweeping and configuring are the stage's, when others share it: then only packets.
  void play(const Step& step);
  void configure(const Policy& policy) { model_.configure(policy, stage_.now); }
  void check();
  Model& model() { return model_; }
  // Adds what is given to the engine from now on.
  void record_to(std::vector<Played>& record) { record_ = &record; }
  void show_to(Onlooker& onlooker) { onlooker_ = &onlooker; }

 private:
  void play_alone(const Step& step);
  void play_packet(const Step& step);

  Stage& stage_;
  Model model_;
  std::uint32_t played_ = 0;
  std::vector<Played>* record_ = nullptr;
  Onlooker* onlooker_ = nullptr;
};

EngineOptions options_of(const Setup& setup);
std::shared_ptr<const Policy> shared(const Policy& policy);
// All sessions of an engine.
std::vector<SessionView> sessions_of(const Engine& engine, Time now,
                                     const SessionPattern& pattern = {});
// Frees all that is due.
void sweep(Engine& engine, Time now);

// What is wrong first when the steps are played on a new engine; empty if nothing is.
std::string disagreement(const Setup& setup, const std::vector<Step>& steps);

}  // namespace swnat::property
