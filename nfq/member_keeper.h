// Makes interfaces members of ranges as they come and go (rules/kernel/member_follower.h), in a
// thread of its own.
//
// Theory of operation
//
// The thread sleeps until netlink tells of an interface, waits a few milliseconds for others, and
// does all that came together at once. It runs nft and waits for it; the packets' threads do not
// know it. Sessions of who went are ended a piece at a time, as by an operator. Twice a second it
// looks whether `up` or `down` was there.
//
// It does so whatever control.repair says: members are what the configuration asks for.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/lock.h"
#include "nfq/file_descriptor.h"
#include "nfq/link_events.h"
#include "rules/kernel/member_follower.h"
#include "swnat/engine.h"

namespace swnat::nfq {

class MemberKeeper {
 public:
  // Throws Error.
  MemberKeeper(std::string control_socket, Engine& engine);
  ~MemberKeeper();
  MemberKeeper(const MemberKeeper&) = delete;
  MemberKeeper& operator=(const MemberKeeper&) = delete;

  // Who is there already is a member when it returns, and sessions of others are ended, unless `up`
  // or `down` is at work. To be called before packets are translated.
  void start();
  void request_stop();

  // By fwmark: the interfaces of members. Never null; for any thread.
  using Interfaces = std::map<std::uint32_t, std::string>;
  std::shared_ptr<const Interfaces> interfaces() const;
  // What is no fault, but worth to be told. For any thread.
  std::vector<std::string> notes() const;

 private:
  void run();
  void wait();
  void follow();
  void end_sessions(const std::vector<std::uint32_t>& fwmarks);
  void tell();

  Engine& engine_;
  LinkEvents events_;
  FileDescriptor wakeup_;
  std::atomic<bool> stopping_{false};

  mutable Mutex mutex_;
  std::shared_ptr<const Interfaces> interfaces_ SWNAT_GUARDED_BY(mutex_);
  std::vector<std::string> notes_ SWNAT_GUARDED_BY(mutex_);

  // The thread's own.
  rules::MemberFollower follower_;
  rules::MemberLinks links_;
  bool is_changed_ = true;  // since the last time that all was done
  bool is_busy_ = false;    // somebody else changes members
  bool were_waiting_ = false;
  std::string told_fault_;
  std::thread thread_;
};

}  // namespace swnat::nfq
