#include "nfq/control_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string_view>
#include <utility>

#include "nfq/error.h"
#include "nfq/log.h"

namespace swnat::nfq {

ControlServer::ControlServer(sd_event* loop, const std::string& path, ControlAsk ask)
    : loop_(loop), socket_(path), ask_(std::move(ask)) {
  sd_event_source* source = nullptr;
  int result = sd_event_add_io(loop, &source, socket_.fd(), EPOLLIN, on_connection, this);
  if (result < 0) {
    throw Error(fmt::format("control socket: cannot be watched: {}", std::strerror(-result)));
  }
  connections_.reset(source);
  // Made now, because later there may be no file for its clock.
  result = sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, 0, 0, on_pause_over, this);
  if (result < 0) {
    throw Error(fmt::format("control socket: cannot be timed: {}", std::strerror(-result)));
  }
  pause_.reset(source);
  sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

int ControlServer::on_connection(sd_event_source*, int, std::uint32_t, void* self) {
  try {
    static_cast<ControlServer*>(self)->accept();
  } catch (const std::exception& error) {
    log(Priority::warning, "control socket: a client was turned away: {}", error.what());
  }
  return 0;
}

void ControlServer::accept() {
  FileDescriptor client(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) {
    const bool is_short = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    return is_short ? pause(errno) : void();
  }
  is_short_of_files_ = false;
  Peer peer = peer_of(client.get());
  if (!make_room(peer)) {
    constexpr std::string_view busy =
        "{\"ok\":false,\"error\":\"too many clients at once; try again\"}\n";
    ::send(client.get(), busy.data(), busy.size(), MSG_NOSIGNAL);
    return;
  }
  clients_.push_back(std::make_unique<ControlClient>(
      loop_, std::move(client), std::move(peer), ask_, [this](ControlClient* finished) {
        std::erase_if(clients_, [&](const auto& one) { return one.get() == finished; });
      }));
}

void ControlServer::give_to(gid_t group) const {
  const std::string fault = socket_.give_to(group);
  if (!fault.empty())
    log(Priority::warning, "control socket: cannot be given to the group {}: {}", group, fault);
}

bool ControlServer::make_room(const Peer& newcomer) {
  const auto all = [](const Peer&, const Peer&) { return true; };
  const auto of_users = [](const Peer& client, const Peer&) { return !client.is_root(); };
  const auto of_this_user = [](const Peer& client, const Peer& one) {
    return client.user == one.user;
  };
  if (newcomer.is_root()) return make_room_among(all, newcomer, max_clients);
  return make_room_among(of_this_user, newcomer, max_of_user) &&
         make_room_among(of_users, newcomer, max_of_users) &&
         make_room_among(all, newcomer, max_clients);
}

bool ControlServer::make_room_among(bool (*is_one)(const Peer& client, const Peer& newcomer),
                                    const Peer& newcomer, std::size_t most) {
  const auto counts = [&](const auto& client) { return is_one(client->peer(), newcomer); };
  if (static_cast<std::size_t>(std::ranges::count_if(clients_, counts)) < most) return true;
  // They are in the order in which they came.
  const auto longest_silent = std::ranges::find_if(
      clients_, [&](const auto& client) { return counts(client) && client->is_silent(); });
  if (longest_silent == clients_.end()) return false;
  (*longest_silent)->tell("{\"ok\":false,\"error\":\"no request came while others waited\"}\n");
  clients_.erase(longest_silent);
  return true;
}

// The client stays where it is, so the loop would be told of it again at once, and for ever.
void ControlServer::pause(int error) {
  if (!std::exchange(is_short_of_files_, true)) {
    log(Priority::warning, "control socket: no client can be let in: {}", std::strerror(error));
  }
  sd_event_source_set_enabled(connections_.get(), SD_EVENT_OFF);
  sd_event_source_set_time_relative(pause_.get(), pause_microseconds);
  sd_event_source_set_enabled(pause_.get(), SD_EVENT_ONESHOT);
}

int ControlServer::on_pause_over(sd_event_source*, std::uint64_t, void* self) {
  sd_event_source_set_enabled(static_cast<ControlServer*>(self)->connections_.get(), SD_EVENT_ON);
  return 0;
}

}  // namespace swnat::nfq
