#include "tools/pcp/links.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "rules/system/interfaces.h"
#include "swnat/address_text.h"
#include "tools/pcp/datagram.h"
#include "tools/pcp/log.h"

namespace swnat::pcp {
namespace {

constexpr int datagrams_a_turn = 16;
// Links often come and go by the hundred; they are looked at together.
constexpr std::uint64_t look_delay = 200'000;     // in microseconds
constexpr std::uint64_t retry_delay = 5'000'000;  // where one could not be served

void set(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);
}

}  // namespace

std::map<std::string, std::string> namespaces_of_interfaces(const rules::Config& config) {
  std::map<std::string, std::string> names;
  for (const rules::NamespaceConfig& each : config.namespaces) {
    if (each.is_range()) continue;
    for (const std::string& interface : each.interfaces) names[interface] = each.name;
  }
  return names;
}

struct Links::Link {
  struct Family {
    Link* link = nullptr;
    bool is_v6 = false;
    File socket;
    Source source;
  };

  Links* links = nullptr;
  unsigned number = 0;
  std::string name;
  std::string tenant;
  std::array<Family, 2> families;  // IPv4, IPv6
};

Links::Links(sd_event* loop, Receive receive) : loop_(loop), receive_(std::move(receive)) {
  events_ = File(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!events_ ||
      ::bind(events_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw Error(fmt::format("link events: {}", std::strerror(errno)));
  }
  sd_event_source* source = nullptr;
  int result = sd_event_add_io(loop, &source, events_.get(), EPOLLIN, on_link_event, this);
  if (result < 0) throw Error(fmt::format("link events: {}", std::strerror(-result)));
  events_source_.reset(source);
  result = sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, 0, 0, on_look, this);
  if (result < 0) throw Error(fmt::format("link events: {}", std::strerror(-result)));
  look_source_.reset(source);
  sd_event_source_set_enabled(source, SD_EVENT_OFF);
}

Links::~Links() = default;

void Links::follow(const rules::Config& config) {
  wanted_.clear();
  wants_v4_ = wants_v6_ = false;
  if (config.pcp.enabled) {
    wanted_ = namespaces_of_interfaces(config);
    for (const IpAddress& each : config.external_addresses) {
      (std::holds_alternative<Ipv4Address>(each) ? wants_v4_ : wants_v6_) = true;
    }
  }
  // External addresses, and so families, are fixed while the daemon runs.
  look();
}

int Links::on_link_event(sd_event_source*, int fd, std::uint32_t, void* self) {
  std::array<char, 65536> bytes;
  while (::recv(fd, bytes.data(), bytes.size(), 0) > 0) {
  }
  auto& links = *static_cast<Links*>(self);
  if (!std::exchange(links.is_look_near_, true)) links.look_in(look_delay);
  return 0;
}

void Links::look_in(std::uint64_t delay) {
  sd_event_source_set_time_relative(look_source_.get(), delay);
  sd_event_source_set_enabled(look_source_.get(), SD_EVENT_ONESHOT);
}

int Links::on_look(sd_event_source*, std::uint64_t, void* self) {
  static_cast<Links*>(self)->look();
  return 0;
}

void Links::look() {
  is_look_near_ = false;
  std::map<std::string, unsigned, std::less<>> numbers;
  try {
    numbers = rules::current_interfaces().numbers;
  } catch (const std::exception& error) {
    log(Priority::warning, "the interfaces cannot be listed: {}", error.what());
    return look_in(retry_delay);
  }
  std::erase_if(links_, [&](const auto& each) {
    const Link& link = *each.second;
    const auto wanted = wanted_.find(link.name);
    const auto number = numbers.find(link.name);
    return wanted == wanted_.end() || wanted->second != link.tenant || number == numbers.end() ||
           number->second != link.number;
  });
  bool are_all_served = true;
  for (const auto& [name, tenant] : wanted_) {
    const auto number = numbers.find(name);
    if (number == numbers.end() || links_.contains(number->second)) continue;
    are_all_served &= open(name, tenant, number->second);
  }
  if (!are_all_served) look_in(retry_delay);
}

bool Links::open(const std::string& name, const std::string& tenant, unsigned number) {
  auto link = std::make_unique<Link>();
  link->links = this;
  link->number = number;
  link->name = name;
  link->tenant = tenant;
  try {
    if (wants_v4_) watch(*link, open_socket(name, false), false);
    if (wants_v6_) watch(*link, open_socket(name, true), true);
  } catch (const Error& error) {
    complain(name, error.what());
    return false;
  }
  complained_.erase(name);
  links_[number] = std::move(link);
  return true;
}

void Links::complain(const std::string& name, const std::string& fault) {
  if (std::exchange(complained_[name], fault) != fault) {
    log(Priority::warning, "{}: cannot be served: {}", name, fault);
  }
}

File Links::open_socket(const std::string& name, bool is_v6) {
  const int family = is_v6 ? AF_INET6 : AF_INET;
  File socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) throw Error(fmt::format("socket: {}", std::strerror(errno)));
  const int fd = socket.get();
  if (::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                   static_cast<socklen_t>(name.size())) != 0) {
    throw Error(fmt::format("SO_BINDTODEVICE: {}", std::strerror(errno)));
  }
  const Address any =
      is_v6 ? Address({Ipv6Address{}, server_port}) : Address({Ipv4Address{}, server_port});
  if (is_v6) {
    set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  } else {
    set(fd, IPPROTO_IP, IP_PKTINFO, 1);
  }
  if (::bind(fd, any.get(), any.size()) != 0) {
    throw Error(fmt::format("UDP port {}: {}", server_port, std::strerror(errno)));
  }
  return socket;
}

void Links::watch(Link& link, File socket, bool is_v6) {
  Link::Family& family = link.families[is_v6 ? 1 : 0];
  family.link = &link;
  family.is_v6 = is_v6;
  family.socket = std::move(socket);
  sd_event_source* source = nullptr;
  const int result =
      sd_event_add_io(loop_, &source, family.socket.get(), EPOLLIN, on_datagram, &family);
  if (result < 0) throw Error(fmt::format("cannot be watched: {}", std::strerror(-result)));
  family.source.reset(source);
}

int Links::on_datagram(sd_event_source*, int, std::uint32_t, void* family) {
  const auto& own = *static_cast<const Link::Family*>(family);
  own.link->links->read(*own.link, own.is_v6);
  return 0;
}

void Links::read(Link& link, bool is_v6) {
  const int fd = link.families[is_v6 ? 1 : 0].socket.get();
  for (int i = 0; i < datagrams_a_turn; ++i) {
    Datagram datagram;
    if (!datagram.receive(fd)) return;
    const auto client = datagram.source();
    const auto asked = datagram.destination();
    if (!client || !asked) continue;
    receive_(link.tenant, {link.number, *client, *asked}, datagram.bytes());
  }
}

void Links::answer(const Origin& origin, View message) {
  const auto found = links_.find(origin.interface);
  if (found == links_.end()) return;
  const bool is_v6 = std::holds_alternative<Ipv6Address>(origin.client.address);
  const int fd = found->second->families[is_v6 ? 1 : 0].socket.get();
  if (fd >= 0) send_datagram(fd, message, origin.client, origin.asked, origin.interface);
}

std::map<unsigned, std::string> Links::tenants() const {
  std::map<unsigned, std::string> all;
  for (const auto& [number, link] : links_) all.emplace(number, link->tenant);
  return all;
}

void Links::announce(unsigned link, View message, bool is_v6) {
  const auto found = links_.find(link);
  if (found == links_.end()) return;
  const int fd = found->second->families[is_v6 ? 1 : 0].socket.get();
  if (fd < 0) return;
  static const IpAddress all_v4 = *parse_address("224.0.0.1");
  static const IpAddress all_v6 = *parse_address("ff02::1");
  send_datagram(fd, message, {is_v6 ? all_v6 : all_v4, client_port}, std::nullopt, link);
}

}  // namespace swnat::pcp
