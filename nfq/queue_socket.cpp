#include "nfq/queue_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "nfq/error.h"
#include "nfq/queue_table.h"
#include "nfq/queued_packet.h"

namespace swnat::nfq {
namespace {

// What the kernel charges the socket for a full GSO packet, about. With that room for every packet,
// max_packets (whose drops the kernel counts by queue) is the limit and not the buffer. Half of
// this is set, because the kernel doubles it. The most that is ever needed in practice is far less:
// a thousand full GSO packets are 60 MB on their way through one queue, more than any backlog that
// is still worth sending, and as much memory again lies in the packets themselves.
constexpr std::uint64_t charged_per_packet = 69'632;
constexpr std::uint64_t max_receive_buffer = std::uint64_t{64} << 20;

// The kernel refuses a datagram that is larger than the send buffer; nothing waits in it.
constexpr int send_buffer = 2 * VerdictBatch::max_bytes;

constexpr std::uint32_t sequence = 1;

void set_buffer(int fd, int forced, int usual, int size) {
  // Inside a user namespace only the usual way may be open, up to the system's limit.
  if (::setsockopt(fd, SOL_SOCKET, forced, &size, sizeof size) != 0) {
    ::setsockopt(fd, SOL_SOCKET, usual, &size, sizeof size);
  }
}

FileDescriptor open_socket(const QueueSettings& settings) {
  FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return fd;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  const std::uint64_t wanted =
      std::min(settings.max_packets * charged_per_packet, max_receive_buffer);
  set_buffer(fd.get(), SO_RCVBUFFORCE, SO_RCVBUF, static_cast<int>(wanted / 2));
  set_buffer(fd.get(), SO_SNDBUFFORCE, SO_SNDBUF, send_buffer);
  return fd;
}

}  // namespace

QueueSocket::QueueSocket(const QueueSettings& settings)
    : settings_(settings), fd_(open_socket(settings)) {
  if (!fd_) fail(errno);
  configure();
  await_acknowledgement();
}

int QueueSocket::send(std::span<iovec> pieces) {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  while (::sendmsg(fd_.get(), &message, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// One message, so that the queue never exists half configured: a queue without parameters drops
// everything, and of two flag attributes only the last would count.
void QueueSocket::configure() {
  alignas(nlmsghdr) std::array<char, 256> buffer{};
  nlmsghdr* message = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_CONFIG, settings_.number);
  message->nlmsg_flags |= NLM_F_ACK;
  message->nlmsg_seq = sequence;
  nfq_nlmsg_cfg_put_cmd(message, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
  nfq_nlmsg_cfg_put_params(message, NFQNL_COPY_PACKET, 0xffff);
  nfq_nlmsg_cfg_put_qmaxlen(message, settings_.max_packets);
  // Segments stay joined; what costs the kernel work that nobody reads is switched off.
  const std::uint32_t flags = NFQA_CFG_F_GSO | (settings_.fail_open ? NFQA_CFG_F_FAIL_OPEN : 0);
  mnl_attr_put_u32(message, NFQA_CFG_FLAGS, htonl(flags));
  mnl_attr_put_u32(message, NFQA_CFG_MASK,
                   htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_CONNTRACK |
                         NFQA_CFG_F_UID_GID | NFQA_CFG_F_SECCTX));
  iovec piece{message, message->nlmsg_len};
  if (const int error = send({&piece, 1})) fail(error);
}

// The kernel has answered when sendmsg returns. Packets may lie before the answer already.
void QueueSocket::await_acknowledgement() {
  std::vector<std::uint8_t> buffer(ReceiveBuffer::slot_size);
  for (;;) {
    const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (size < 0) fail(errno);
    auto rest = static_cast<int>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(message, rest);
         message = mnl_nlmsg_next(message, &rest)) {
      if (message->nlmsg_type != NLMSG_ERROR) {
        refuse_waiting({reinterpret_cast<std::uint8_t*>(message), message->nlmsg_len});
      } else if (message->nlmsg_seq == sequence &&
                 mnl_nlmsg_get_payload_len(message) >= sizeof(nlmsgerr)) {
        const auto* answer = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
        if (answer->error != 0) fail(-answer->error);
        return;
      }
    }
  }
}

void QueueSocket::refuse_waiting(std::span<std::uint8_t> message) {
  QueuedPacket packet;
  if (decode(message, packet) == Decoding::no_id) return;
  alignas(nlmsghdr) std::array<char, 64> buffer{};
  nlmsghdr* verdict = nfq_nlmsg_put(buffer.data(), NFQNL_MSG_VERDICT, settings_.number);
  nfq_nlmsg_verdict_put(verdict, static_cast<int>(packet.id), NF_DROP);
  iovec piece{verdict, verdict->nlmsg_len};
  if (const int error = send({&piece, 1})) fail(error);
}

void QueueSocket::fail(int error) const {
  const auto queues = kernel_queues();
  if (!queues) {
    throw Error(fmt::format(
        "queue {}: this kernel has no NFQUEUE ({}); it needs CONFIG_NETFILTER_NETLINK_QUEUE, on "
        "most systems the module nfnetlink_queue",
        settings_.number, std::strerror(error)));
  }
  if (error == EPERM || error == EBUSY) {
    const auto owner = std::ranges::find(*queues, settings_.number, &KernelQueue::number);
    if (owner != queues->end()) {
      throw Error(fmt::format(
          "queue {} is already taken, by the netlink socket with port id {}; end that program, or "
          "set queue.first to free queues",
          settings_.number, owner->port_id));
    }
  }
  throw Error(fmt::format("queue {}: cannot bind: {}", settings_.number, std::strerror(error)));
}

}  // namespace swnat::nfq
