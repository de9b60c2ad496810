#include "tools/pcp/announcer.h"

#include <fmt/format.h>

#include <cstring>

#include "tools/pcp/clock.h"

namespace swnat::pcp {
namespace {

constexpr int links_a_turn = 256;
constexpr std::uint64_t turn_pause = 2'000;  // in microseconds

}  // namespace

Announcer::Announcer(sd_event* loop, Links& links, const Server& server)
    : links_(links), server_(server) {
  sd_event_source* source = nullptr;
  const int result =
      sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, 0, 1, on_time, this);
  if (result < 0) throw Error(fmt::format("timer: {}", std::strerror(-result)));
  timer_.reset(source);
  sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

void Announcer::begin() {
  times_left_ = times;
  pause_ = first_pause;
  next_link_ = 0;
  sd_event_source_set_time_relative(timer_.get(), 0);
  sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
}

int Announcer::on_time(sd_event_source*, std::uint64_t, void* self) {
  static_cast<Announcer*>(self)->go_on();
  return 0;
}

void Announcer::go_on() {
  const auto tenants = links_.tenants();
  auto link = tenants.lower_bound(next_link_);
  const Octets pcp = server_.pcp_announcement(now());
  for (int i = 0; i < links_a_turn && link != tenants.end(); ++i, ++link) {
    links_.announce(link->first, server_.natpmp_announcement(link->second, now()), false);
    links_.announce(link->first, pcp, false);
    links_.announce(link->first, pcp, true);
  }
  const bool is_told = link == tenants.end();
  next_link_ = is_told ? 0 : link->first;
  if (is_told && --times_left_ == 0) return;
  sd_event_source_set_time_relative(timer_.get(), is_told ? pause_ : turn_pause);
  sd_event_source_set_enabled(timer_.get(), SD_EVENT_ONESHOT);
  if (is_told) pause_ *= 2;
}

}  // namespace swnat::pcp
