#include "nfq/answer_sockets.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "engine/wire/headers.h"
#include "engine/wire/parse.h"

namespace swnat::nfq {
namespace {

// Nothing is ever received by it.
FileDescriptor open_v4() {
  return FileDescriptor(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
}

// It would receive all ICMPv6 to the gateway.
FileDescriptor open_v6() {
  FileDescriptor fd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  icmp6_filter none;
  ICMP6_FILTER_SETBLOCKALL(&none);
  if (fd && ::setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &none, sizeof none) != 0)
    return {};
  return fd;
}

template <class Address>
bool send_to(int fd, const Address& address, std::span<const std::uint8_t> bytes) {
  return ::sendto(fd, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) == static_cast<ssize_t>(bytes.size());
}

}  // namespace

AnswerSockets::AnswerSockets() : v4_{open_v4()} {
  if (!v4_.fd) fault_ = std::strerror(errno);
  v6_.fd = open_v6();
}

bool AnswerSockets::send(std::span<const std::uint8_t> answer, std::uint32_t fwmark) {
  if (ip_version(answer) == 4) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    std::memcpy(&to.sin_addr, &answer[Ipv4::destination_offset], sizeof to.sin_addr);
    return set_fwmark(v4_, fwmark) && send_to(v4_.fd.get(), to, answer);
  }
  sockaddr_in6 to{};
  to.sin6_family = AF_INET6;
  std::memcpy(&to.sin6_addr, &answer[Ipv6::destination_offset], sizeof to.sin6_addr);
  return set_fwmark(v6_, fwmark) && send_to(v6_.fd.get(), to, answer.subspan(ipv6_header_size));
}

bool AnswerSockets::set_fwmark(Socket& socket, std::uint32_t fwmark) {
  if (socket.fwmark == fwmark) return true;
  if (::setsockopt(socket.fd.get(), SOL_SOCKET, SO_MARK, &fwmark, sizeof fwmark) != 0) return false;
  socket.fwmark = fwmark;
  return true;
}

}  // namespace swnat::nfq
