// The tenants' links: a socket on each for each family, and the kernel's word of links that come
// and go.
//
// Each socket is bound to its link, so that a datagram's tenant is known, and what others send is
// never seen. Links take turns: of each some datagrams are read at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "rules/config/config.h"
#include "tools/pcp/event_loop.h"
#include "tools/pcp/server.h"

namespace swnat::pcp {

inline constexpr std::uint16_t server_port = 5351;
inline constexpr std::uint16_t client_port = 5350;  // where clients hear announcements

// Which namespace each interface leads to, by its name. Members of a range are behind links that
// the configuration does not have.
std::map<std::string, std::string> namespaces_of_interfaces(const rules::Config& config);

class Links final : public Outlet {
 public:
  using Receive =
      std::function<void(const std::string& tenant, const Origin& origin, View message)>;

  // Throws Error.
  Links(sd_event* loop, Receive receive);
  ~Links() override;

  // Serves the interfaces of this configuration that exist, in the families that it has external
  // addresses of, and none where it is not enabled. Those that cannot be served are told in the
  // log.
  void follow(const rules::Config& config);

  void answer(const Origin& origin, View message) override;

  // The number of each link that is served, and its tenant.
  std::map<unsigned, std::string> tenants() const;
  // To all hosts on the link. Never fails.
  void announce(unsigned link, View message, bool is_v6);

 private:
  struct Link;

  static int on_datagram(sd_event_source*, int, std::uint32_t, void* link);
  static int on_link_event(sd_event_source*, int fd, std::uint32_t, void* self);
  static int on_look(sd_event_source*, std::uint64_t, void* self);
  void look();
  void look_in(std::uint64_t delay);
  bool open(const std::string& name, const std::string& tenant, unsigned number);
  File open_socket(const std::string& name, bool is_v6);
  void watch(Link& link, File socket, bool is_v6);
  void complain(const std::string& name, const std::string& fault);
  void read(Link& link, bool is_v6);

  sd_event* loop_;
  Receive receive_;
  std::map<std::string, std::string> wanted_;  // namespaces by interface
  bool wants_v4_ = false;
  bool wants_v6_ = false;
  std::map<unsigned, std::unique_ptr<Link>> links_;
  std::map<std::string, std::string> complained_;  // by interface, what was told of it
  File events_;
  Source events_source_;
  Source look_source_;
  bool is_look_near_ = false;  // it comes as soon as an event asks for
};

}  // namespace swnat::pcp
