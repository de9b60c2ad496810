#include "tools/pcp/server.h"

#include <algorithm>
#include <utility>

#include "rules/config/networks.h"
#include "swnat/protocol.h"

namespace swnat::pcp {
namespace {

constexpr const char* natpmp_holder = "nat-pmp";

std::string holder_of(const Nonce& nonce) {
  return "pcp " + to_hex(nonce);
}

bool has_ports(std::uint8_t protocol) {
  return protocol == protocol::tcp || protocol == protocol::udp;
}

NatPmpResult natpmp_result(Result result) {
  switch (result) {
    case Result::success:
      return NatPmpResult::success;
    case Result::not_authorized:
      return NatPmpResult::not_authorized;
    default:
      return NatPmpResult::out_of_resources;
  }
}

}  // namespace

void Server::receive(const std::string& tenant, const Origin& origin, View message, Seconds now) {
  if (!book_.is_synchronised() || !may_ask(tenant, now)) return;
  const Asked asked{tenant, origin, message, now};
  const bool is_v4 = std::holds_alternative<Ipv4Address>(origin.client.address);
  if (is_v4 && !message.empty() && message[0] == natpmp_version) {
    natpmp(asked);
  } else {
    pcp(asked);
  }
}

bool Server::may_ask(const std::string& tenant, Seconds now) {
  Allowance& own = allowances_[tenant];
  const std::int64_t grown = own.left + (now - own.since).count() * requests_a_second;
  own.left = static_cast<std::uint32_t>(std::min<std::int64_t>(grown, requests_at_once));
  own.since = now;
  if (own.left == 0) return false;
  --own.left;
  return true;
}

// --- PCP

void Server::pcp(const Asked& asked) {
  const ReadRequest read = read_request(asked.message, asked.origin.client.address);
  if (read.is_ignored) return;
  if (read.result != Result::success) return refuse(asked, read.result);
  const Request& request = read.request;
  if (request.opcode == Opcode::announce) {
    return outlet_.answer(asked.origin, announce_response(book_.epoch(asked.now)));
  }
  // It is an address of the link alone, to which nothing can be forwarded.
  if (rules::is_link_local(request.client)) return refuse(asked, Result::not_authorized);
  return request.opcode == Opcode::map ? map(asked, request) : peer(asked, request);
}

void Server::refuse(const Asked& asked, Result result, Seconds lifetime) {
  if (lifetime.count() == 0) lifetime = error_lifetime(result);
  outlet_.answer(asked.origin,
                 error_response(asked.message, result, lifetime, book_.epoch(asked.now)));
}

template <class Respond>
Book::Reply Server::reply(const Asked& asked, Respond respond) {
  const Octets message(asked.message.begin(), asked.message.end());
  return [this, origin = asked.origin, message, tenant = asked.tenant, now = asked.now,
          respond](const Grant& grant) {
    const Asked again{tenant, origin, message, now};
    if (grant.result != Result::success) return refuse(again, grant.result, grant.lifetime);
    outlet_.answer(origin, respond(grant, book_.epoch(now)));
  };
}

void Server::map(const Asked& asked, const Request& request) {
  const bool is_delete = request.lifetime.count() == 0;
  const bool is_all = request.internal_port == 0;
  if (request.protocol == 0 && !is_all) return refuse(asked, Result::malformed_request);
  // All ports, or protocols without any, can be given up, but not be had.
  const bool is_meaningless = request.protocol != 0 && !has_ports(request.protocol);
  if (is_meaningless || (is_all && !is_delete)) return refuse(asked, Result::unsupp_protocol);
  const Wish wish{.protocol = request.protocol,
                  .internal = {request.client, request.internal_port},
                  .holder = holder_of(request.nonce),
                  .suggested = request.suggested,
                  .is_exact = request.prefers_failure,
                  .lifetime = request.lifetime};
  if (!is_delete) {
    return book_.map(asked.tenant, wish, asked.now,
                     reply(asked, [request](const Grant& grant, std::uint32_t epoch) {
                       return map_response(request, grant.external, grant.lifetime, epoch);
                     }));
  }
  // What was suggested is copied (RFC 6887 section 15.1).
  const auto deleted = reply(asked, [request](const Grant&, std::uint32_t epoch) {
    return map_response(request, request.suggested, Seconds(0), epoch);
  });
  if (is_all) {
    book_.unmap_all(asked.tenant, wish, asked.now, deleted);
  } else {
    book_.unmap(asked.tenant, wish, asked.now, deleted);
  }
}

void Server::peer(const Asked& asked, const Request& request) {
  if (!has_ports(request.protocol)) return refuse(asked, Result::unsupp_protocol);
  const bool is_whole = request.internal_port != 0 && request.remote.port != 0 &&
                        request.remote.address.index() == request.client.index();
  if (!is_whole) return refuse(asked, Result::malformed_request);
  const SessionWish wish{.protocol = request.protocol,
                         .internal = {request.client, request.internal_port},
                         .remote = request.remote,
                         .holder = holder_of(request.nonce),
                         .suggested = request.suggested,
                         .lifetime = request.lifetime};
  const auto done = reply(asked, [request](const Grant& grant, std::uint32_t epoch) {
    const bool is_given = grant.lifetime.count() != 0;
    return peer_response(request, is_given ? grant.external : request.suggested, grant.lifetime,
                         epoch);
  });
  if (request.lifetime.count() == 0) {
    book_.release(asked.tenant, wish, asked.now, done);
  } else {
    book_.keep(asked.tenant, wish, asked.now, done);
  }
}

// --- NAT-PMP

Octets Server::natpmp_announcement(const std::string& tenant, Seconds now) const {
  return natpmp_address(tenant, Ipv4Address{}, now);
}

// Of who has none yet it is the namespace's first.
Octets Server::natpmp_address(const std::string& tenant, const IpAddress& host, Seconds now) const {
  const auto address = book_.external_address(tenant, host);
  const std::uint32_t epoch = book_.epoch(now);
  if (!address) return natpmp_address_response(NatPmpResult::network_failure, {}, epoch);
  return natpmp_address_response(NatPmpResult::success, std::get<Ipv4Address>(*address), epoch);
}

void Server::natpmp(const Asked& asked) {
  const auto request = read_natpmp_request(asked.message);
  if (!request) return;
  const std::uint32_t epoch = book_.epoch(asked.now);
  switch (request->opcode) {
    case natpmp_opcode::map_udp:
    case natpmp_opcode::map_tcp:
      return natpmp_map(asked, *request);
    case natpmp_opcode::address:
      return outlet_.answer(asked.origin,
                            natpmp_address(asked.tenant, asked.origin.client.address, asked.now));
    default:
      return outlet_.answer(
          asked.origin,
          natpmp_error_response(request->opcode, NatPmpResult::unsupported_opcode, epoch));
  }
}

void Server::natpmp_map(const Asked& asked, const NatPmpRequest& request) {
  const bool is_delete = request.lifetime.count() == 0;
  const auto done = [this, request, origin = asked.origin, now = asked.now,
                     is_delete](const Grant& grant) {
    const bool is_given = grant.result == Result::success && !is_delete;
    outlet_.answer(origin,
                   natpmp_map_response(request, natpmp_result(grant.result),
                                       is_given ? grant.external.port : std::uint16_t{0},
                                       is_given ? grant.lifetime : Seconds(0), book_.epoch(now)));
  };
  const auto external = book_.external_address(asked.tenant, asked.origin.client.address);
  const bool is_udp = request.opcode == natpmp_opcode::map_udp;
  const Wish wish{.protocol = is_udp ? protocol::udp : protocol::tcp,
                  .internal = {asked.origin.client.address, request.internal_port},
                  .holder = natpmp_holder,
                  // Its answer has no address, so it is the one that the client was told.
                  .suggested = {external.value_or(Ipv4Address{}), request.external_port},
                  .lifetime = request.lifetime,
                  .shortest = Seconds(1)};  // no longer than it wants (RFC 6886 section 3.3)
  if (request.internal_port == 0) {
    if (!is_delete) return done({Result::not_authorized, {}, Seconds(0)});
    return book_.unmap_all(asked.tenant, wish, asked.now, done);
  }
  if (is_delete) return book_.unmap(asked.tenant, wish, asked.now, done);
  book_.map(asked.tenant, wish, asked.now, done);
}

}  // namespace swnat::pcp
