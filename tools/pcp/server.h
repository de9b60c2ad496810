// Answers the datagrams of tenants: both protocols, over what the book gives.
//
// A tenant is known by the link that its datagram came over, never by its address. Each has so many
// requests a second; what comes beyond is dropped, as is all that comes before the book knows what
// the daemon has. Clients ask again.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "swnat/address.h"
#include "tools/pcp/book.h"
#include "tools/pcp/natpmp_message.h"
#include "tools/pcp/octets.h"
#include "tools/pcp/pcp_message.h"

namespace swnat::pcp {

// Where a datagram came from, and so where its answer goes.
struct Origin {
  unsigned interface = 0;  // the kernel's number of the link
  IpEndpoint client;
  IpAddress asked;  // the gateway's address that it was sent to
};

class Outlet {
 public:
  virtual ~Outlet() = default;
  // Never fails: an answer that cannot be sent is lost.
  virtual void answer(const Origin& origin, View message) = 0;
};

class Server {
 public:
  static constexpr std::uint32_t requests_a_second = 5;
  static constexpr std::uint32_t requests_at_once = 100;

  // Both must outlive this.
  Server(Book& book, Outlet& outlet) : book_(book), outlet_(outlet) {}

  void receive(const std::string& tenant, const Origin& origin, View message, Seconds now);

  // What is sent to all hosts of a tenant when the epoch began anew.
  Octets pcp_announcement(Seconds now) const { return announce_response(book_.epoch(now)); }
  Octets natpmp_announcement(const std::string& tenant, Seconds now) const;

 private:
  // Requests that a tenant may still make.
  struct Allowance {
    std::uint32_t left = requests_at_once;
    Seconds since{0};
  };
  struct Asked {
    const std::string& tenant;
    const Origin& origin;
    View message;
    Seconds now;
  };

  bool may_ask(const std::string& tenant, Seconds now);
  void pcp(const Asked& asked);
  void map(const Asked& asked, const Request& request);
  void peer(const Asked& asked, const Request& request);
  // Sends what `respond` makes of a grant, or the refusal.
  template <class Respond>
  Book::Reply reply(const Asked& asked, Respond respond);
  void refuse(const Asked& asked, Result result, Seconds lifetime = Seconds(0));
  Octets natpmp_address(const std::string& tenant, const IpAddress& host, Seconds now) const;
  void natpmp(const Asked& asked);
  void natpmp_map(const Asked& asked, const NatPmpRequest& request);

  Book& book_;
  Outlet& outlet_;
  std::map<std::string, Allowance> allowances_;
};

}  // namespace swnat::pcp
