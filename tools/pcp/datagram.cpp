#include "tools/pcp/datagram.h"

#include <cerrno>
#include <cstring>

namespace swnat::pcp {
namespace {

constexpr std::size_t control_size = 256;

in6_addr to_kernel(const Ipv6Address& address) {
  in6_addr octets;
  std::memcpy(&octets, address.wire.data(), sizeof octets);
  return octets;
}

Ipv6Address from_kernel(const in6_addr& octets) {
  Ipv6Address address;
  std::memcpy(address.wire.data(), &octets, sizeof octets);
  return address;
}

template <class Info>
void add_control(msghdr& header, int level, int type, const Info& info) {
  header.msg_controllen = CMSG_SPACE(sizeof info);
  cmsghdr* control = CMSG_FIRSTHDR(&header);
  control->cmsg_level = level;
  control->cmsg_type = type;
  control->cmsg_len = CMSG_LEN(sizeof info);
  std::memcpy(CMSG_DATA(control), &info, sizeof info);
}

}  // namespace

Address::Address(const IpEndpoint& endpoint, unsigned link) {
  if (const auto* v4 = std::get_if<Ipv4Address>(&endpoint.address)) {
    auto* in = reinterpret_cast<sockaddr_in*>(&storage_);
    in->sin_family = AF_INET;
    in->sin_port = htons(endpoint.port);
    in->sin_addr.s_addr = v4->wire;
    size_ = sizeof *in;
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&storage_);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(endpoint.port);
    in->sin6_addr = to_kernel(std::get<Ipv6Address>(endpoint.address));
    in->sin6_scope_id = link;
    size_ = sizeof *in;
  }
}

bool Datagram::receive(int fd) {
  iovec part{bytes_.data(), bytes_.size()};
  alignas(cmsghdr) std::array<char, control_size> control;
  msghdr header{};
  header.msg_name = &source_;
  header.msg_namelen = sizeof source_;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = -1;
  do {
    size = ::recvmsg(fd, &header, MSG_DONTWAIT);
    // An error that a datagram of ours met is told here, and nothing to us.
  } while (size < 0 && (errno == EINTR || errno == ECONNREFUSED));
  if (size < 0) return false;
  size_ = static_cast<std::size_t>(size);
  read_destination(header);
  return true;
}

void Datagram::read_destination(msghdr& header) {
  destination_.reset();
  for (cmsghdr* each = CMSG_FIRSTHDR(&header); each != nullptr; each = CMSG_NXTHDR(&header, each)) {
    if (each->cmsg_level == IPPROTO_IP && each->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      destination_ = Ipv4Address{info.ipi_spec_dst.s_addr};
    } else if (each->cmsg_level == IPPROTO_IPV6 && each->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(each), sizeof info);
      destination_ = from_kernel(info.ipi6_addr);
    }
  }
}

std::optional<IpEndpoint> Datagram::source() const {
  if (source_.ss_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&source_);
    return IpEndpoint{Ipv4Address{in->sin_addr.s_addr}, ntohs(in->sin_port)};
  }
  if (source_.ss_family != AF_INET6) return {};
  const auto* in = reinterpret_cast<const sockaddr_in6*>(&source_);
  return IpEndpoint{from_kernel(in->sin6_addr), ntohs(in->sin6_port)};
}

void send_datagram(int fd, View message, const IpEndpoint& to, const std::optional<IpAddress>& from,
                   unsigned link) {
  const Address address(to, link);
  iovec part{const_cast<std::uint8_t*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<char, control_size> control{};
  msghdr header{};
  header.msg_name = const_cast<sockaddr*>(address.get());
  header.msg_namelen = address.size();
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  if (std::holds_alternative<Ipv4Address>(to.address)) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(link);
    if (from) info.ipi_spec_dst.s_addr = std::get<Ipv4Address>(*from).wire;
    add_control(header, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    info.ipi6_ifindex = link;
    if (from) info.ipi6_addr = to_kernel(std::get<Ipv6Address>(*from));
    add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
  ::sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace swnat::pcp
