// A session of the model, and what it stands for when it is over.
#pragma once

#include <list>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "swnat/engine.h"
#include "tests/property/tcp_model.h"

namespace swnat::property {

// The engine did what the model does not allow.
class Disagreement : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct ModelSession {
  NamespaceId tenant = 0;
  std::uint8_t protocol = 0;
  IpEndpoint internal;
  IpEndpoint external;
  IpEndpoint inside_remote;   // whom the tenant believes to talk to
  IpEndpoint outside_remote;  // whom it talks to; another one after a redirect
  // The namespace that whom it talks to is in: the tenant's own after a redirect that stays inside,
  // else 0.
  NamespaceId realm = 0;
  Time made{0};
  Time last_active{0};
  TcpModel tcp;
  bool forwarded = false;     // its external endpoint is that of a forward
  bool from_outside = false;  // its first packet came from there
  bool answered = false;      // the end that did not begin has sent something
  TwoWayTraffic traffic = {};

  bool redirected() const { return inside_remote != outside_remote; }
  std::string_view state() const { return protocol == ip::tcp ? tcp.state() : "active"; }
  // Both ends are done with it, so that its port need not rest.
  bool is_over() const { return protocol == ip::tcp && tcp.is_over(); }
  // Which goes first at a limit: what is over, what nobody answered, the others.
  int rank() const {
    if (is_over()) return 0;
    const bool waits = protocol == ip::tcp ? tcp.state() == "opening" : !answered;
    return waits ? 1 : 2;
  }
};
using Sessions = std::list<ModelSession>;

// One whose time is over, but which the engine may not have looked at yet.
struct ExpiredSession {
  ModelSession session;
  Time since;
  // Whether the mapping's port may rest when the last of its expired sessions is gone, and whether
  // it surely does.
  bool may_rest = false;
  bool surely_rests = false;
};

bool has_ports(std::uint8_t protocol);
bool goes_before(const ModelSession& a, const ModelSession& b);

// By what a session is the same as one that the engine shows.
std::string name_of(const ModelSession& session);
std::string name_of(const SessionView& view);
std::string name_of(const Event& event);

std::string name_of(const PortBlockView& block);
bool overlap(const PortBlockView& a, const PortBlockView& b);

// Where sessions are counted against a limit: a namespace, or one of its forwards, "" for none.
struct Room {
  NamespaceId tenant = 0;
  std::string forward;

  friend auto operator<=>(const Room&, const Room&) = default;
};
std::string text(const Room& room);
Room room_of(NamespaceId tenant, std::uint8_t protocol, const IpEndpoint& external);

// Looks at the engine from outside, when the model must know what it chose.
class Witness {
 public:
  virtual ~Witness() = default;
  virtual std::vector<SessionView> sessions() = 0;
  // Of every namespace of the policy, and every forward that has room of its own, expired ones that
  // the engine still has included.
  virtual std::map<Room, std::uint32_t> counts() = 0;
  // The ports that its mappings have.
  virtual std::map<NamespaceId, std::uint32_t> ports() = 0;
  virtual std::map<NamespaceId, TwoWayTraffic> traffic() = 0;
  virtual std::vector<PortBlockView> blocks() = 0;
};

}  // namespace swnat::property
