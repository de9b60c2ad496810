#include "nfq/own_sockets.h"

#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "engine/base/bytes.h"

namespace swnat::nfq {
namespace {

constexpr std::array<std::uint8_t, 2> protocols{IPPROTO_TCP, IPPROTO_UDP};
// Longer than any answer takes, and short enough not to keep others waiting.
constexpr timeval patience{.tv_sec = 1, .tv_usec = 0};

// Only sockets whose port lies in the range: a program that the kernel runs for each.
std::array<inet_diag_bc_op, 4> port_filter(const PortRange& range) {
  constexpr std::uint8_t next = 2 * sizeof(inet_diag_bc_op);  // the second one holds the port
  constexpr std::uint16_t refused = sizeof(std::array<inet_diag_bc_op, 4>) + 4;
  return {{{INET_DIAG_BC_S_GE, next, refused},
           {INET_DIAG_BC_NOP, 0, range.first},
           {INET_DIAG_BC_S_LE, next, refused - next},
           {INET_DIAG_BC_NOP, 0, range.last}}};
}

// The local address; IPv4 also where an IPv6 socket has it.
IpAddress local_address(const inet_diag_msg& found) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(found.id.idiag_src);
  const auto* words = reinterpret_cast<const in6_addr*>(found.id.idiag_src);
  if (found.idiag_family == AF_INET) return Ipv4Address{load_wire<std::uint32_t>(bytes)};
  if (IN6_IS_ADDR_V4MAPPED(words)) return Ipv4Address{load_wire<std::uint32_t>(bytes + 12)};
  return Ipv6Address{{load_wire<std::uint64_t>(bytes), load_wire<std::uint64_t>(bytes + 8)}};
}

}  // namespace

OwnSockets::OwnSockets(std::vector<IpAddress> addresses, PortRanges ports)
    : addresses_(std::move(addresses)), wanted_(std::move(ports)) {
  // A socket that is bound to no address has all.
  addresses_.emplace_back(Ipv4Address{});
  addresses_.emplace_back(Ipv6Address{});
}

std::string OwnSockets::update(Engine& engine) {
  for (std::size_t i = 0; i < protocols.size(); ++i) {
    PortBits ports;
    if (!read(protocols[i], ports)) {
      std::string why = std::strerror(errno);
      socket_.reset();  // what it may still hold belongs to this question
      return why;
    }
    if (ports == known_[i]) continue;
    engine.withhold(protocols[i], ports);
    known_[i] = ports;
  }
  return {};
}

bool OwnSockets::have(std::uint8_t protocol, std::uint16_t port) const {
  const auto found = std::ranges::find(protocols, protocol);
  return found != protocols.end() &&
         known_[static_cast<std::size_t>(found - protocols.begin())].test(port);
}

bool OwnSockets::read(std::uint8_t protocol, PortBits& ports) {
  if (!socket_) {
    socket_.reset(mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC));
    if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0 ||
        ::setsockopt(mnl_socket_get_fd(socket_.get()), SOL_SOCKET, SO_RCVTIMEO, &patience,
                     sizeof patience) != 0) {
      return false;
    }
  }
  return read(protocol, AF_INET, ports) && read(protocol, AF_INET6, ports);
}

bool OwnSockets::read(std::uint8_t protocol, std::uint8_t family, PortBits& ports) {
  alignas(nlmsghdr) std::array<char, 256> request{};
  nlmsghdr* header = mnl_nlmsg_put_header(request.data());
  header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = ++sequence_;
  auto* body =
      static_cast<inet_diag_req_v2*>(mnl_nlmsg_put_extra_header(header, sizeof(inet_diag_req_v2)));
  body->sdiag_family = family;
  body->sdiag_protocol = protocol;
  body->idiag_states = ~0u;  // also those that have closed and still hold their port
  const auto filter = port_filter(wanted_.envelope());
  mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, sizeof filter, filter.data());
  if (mnl_socket_sendto(socket_.get(), header, header->nlmsg_len) < 0) return false;

  struct Answer {
    const OwnSockets& reader;
    PortBits& ports;
  } answer{*this, ports};
  const auto take_one = [](const nlmsghdr* message, void* data) {
    const auto& [reader, found] = *static_cast<Answer*>(data);
    reader.take(message, found);
    return MNL_CB_OK;
  };
  alignas(nlmsghdr) std::array<char, 32'768> buffer;
  for (;;) {
    const ssize_t size = mnl_socket_recvfrom(socket_.get(), buffer.data(), buffer.size());
    if (size < 0) return false;
    const int result = mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), sequence_,
                                  mnl_socket_get_portid(socket_.get()), take_one, &answer);
    if (result < 0) return false;
    if (result == MNL_CB_STOP) return true;
  }
}

void OwnSockets::take(const nlmsghdr* message, PortBits& ports) const {
  if (message->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return;
  const auto& found = *static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(message));
  const std::uint16_t port = ntohs(found.id.idiag_sport);
  const bool is_ours = std::ranges::find(addresses_, local_address(found)) != addresses_.end();
  if (is_ours && wanted_.contains(port)) ports.set(port);
}

}  // namespace swnat::nfq
