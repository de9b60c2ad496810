#include "rules/system/netlink.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

constexpr std::size_t message_max = 1024;
// The answers to so many failures fit into a socket's receive buffer of the usual size.
constexpr std::size_t batch_max = 64;
constexpr std::size_t answer_max = 32'768;

[[noreturn]] void fail(std::string_view what, int error, std::string_view more = {}) {
  throw KernelError(fmt::format("{} failed: {}{}{}{}", what, std::strerror(error),
                                more.empty() ? "" : " (", more, more.empty() ? "" : ")"));
}

// Which message an answer is about, and what became of it.
struct Outcome {
  std::uint32_t sequence = 0;
  int error = 0;  // errno; 0: done
  std::string_view text;
};

Outcome outcome_in(const nlmsghdr& message) {
  Outcome outcome{message.nlmsg_seq, 0, {}};
  const auto* found = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(&message));
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(int)) return {message.nlmsg_seq, EBADMSG, {}};
  outcome.error = -found->error;
  if ((message.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return outcome;
  std::size_t header = sizeof(nlmsgerr);
  if ((message.nlmsg_flags & NLM_F_CAPPED) == 0) header += found->msg.nlmsg_len - NLMSG_HDRLEN;
  if (mnl_nlmsg_get_payload_len(&message) < header) return outcome;
  for_each_attribute(message, header, [&](const nlattr& each) {
    if (mnl_attr_get_type(&each) != NLMSGERR_ATTR_MSG) return;
    const std::string_view all(mnl_attr_get_str(&each), mnl_attr_get_payload_len(&each));
    outcome.text = all.substr(0, all.find('\0'));
  });
  return outcome;
}

}  // namespace

void NetlinkSocket::Closer::operator()(mnl_socket* socket) const {
  mnl_socket_close(socket);
}

NetlinkSocket::NetlinkSocket(int protocol) : socket_(mnl_socket_open2(protocol, SOCK_CLOEXEC)) {
  if (!socket_ || mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    fail("a netlink socket", errno);
  }
  // Only the first matters where a kernel has none of these: what is asked for is filtered here
  // too.
  int on = 1;
  for (const int option : {NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK}) {
    mnl_socket_setsockopt(socket_.get(), option, &on, sizeof on);
  }
}

void NetlinkSocket::send(std::uint8_t* bytes, std::size_t size) const {
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  iovec part{bytes, size};
  msghdr message{};
  message.msg_name = &kernel;
  message.msg_namelen = sizeof kernel;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ssize_t sent = 0;
  while ((sent = ::sendmsg(mnl_socket_get_fd(socket_.get()), &message, 0)) < 0 && errno == EINTR) {
  }
  if (sent < 0) fail("telling the kernel by netlink", errno);
}

std::span<const std::uint8_t> NetlinkSocket::receive(std::span<std::uint8_t> room) const {
  ssize_t got = 0;
  while ((got = mnl_socket_recvfrom(socket_.get(), room.data(), room.size())) < 0 &&
         errno == EINTR) {
  }
  if (got <= 0) fail("the kernel's answer by netlink", got < 0 ? errno : ENODATA);
  return room.first(static_cast<std::size_t>(got));
}

// False if others changed it meanwhile, so that some may be there twice and some not at all.
bool NetlinkSocket::dump_once(const Fill& fill, std::string_view what, const Take& take) {
  alignas(nlmsghdr) std::uint8_t bytes[answer_max];
  nlmsghdr& request = *mnl_nlmsg_put_header(bytes);
  fill(request);
  request.nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
  request.nlmsg_seq = ++sequence_;
  send(bytes, request.nlmsg_len);
  bool is_consistent = true;
  for (bool is_done = false; !is_done;) {
    for_each_netlink_message(receive(bytes), [&](const nlmsghdr& message) {
      if (message.nlmsg_seq != sequence_) return;  // of a failure before
      if ((message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) is_consistent = false;
      if (message.nlmsg_type == NLMSG_DONE || message.nlmsg_type == NLMSG_ERROR) {
        const int error = outcome_in(message).error;
        if (error != 0 && error != ENOENT) fail(what, error);
        is_done = true;
        return;
      }
      take(message);
    });
  }
  return is_consistent;
}

void NetlinkSocket::dump(const Fill& fill, std::string_view what,
                         const std::function<void()>& start, const Take& take) {
  constexpr int attempts = 10;
  // One that changes all the time is taken as it is: who looks at it then looks again.
  for (int i = 0; i < attempts; ++i) {
    start();
    if (dump_once(fill, what, take)) break;
  }
}

std::vector<std::uint8_t> NetlinkSocket::dump(const Fill& fill, std::string_view what) {
  std::vector<std::uint8_t> all;
  dump(
      fill, what, [&] { all.clear(); },
      [&](const nlmsghdr& message) {
        const auto* first = reinterpret_cast<const std::uint8_t*>(&message);
        all.insert(all.end(), first, first + message.nlmsg_len);
        all.resize(NLMSG_ALIGN(all.size()));
      });
  return all;
}

int NetlinkSocket::ask(const Fill& fill, const Take& take) {
  alignas(nlmsghdr) std::uint8_t bytes[answer_max];
  nlmsghdr& request = *mnl_nlmsg_put_header(bytes);
  fill(request);
  request.nlmsg_flags |= NLM_F_REQUEST;
  request.nlmsg_seq = ++sequence_;
  send(bytes, request.nlmsg_len);
  int error = 0;
  for (bool is_answered = false; !is_answered;) {
    pollfd answer{.fd = mnl_socket_get_fd(socket_.get()), .events = POLLIN, .revents = 0};
    if (::poll(&answer, 1, 0) <= 0) fail("the kernel's answer by netlink", ENODATA);
    for_each_netlink_message(receive(bytes), [&](const nlmsghdr& message) {
      if (message.nlmsg_seq != sequence_) return;
      is_answered = true;
      if (message.nlmsg_type == NLMSG_ERROR) {
        error = outcome_in(message).error;
      } else {
        take(message);
      }
    });
  }
  return error;
}

void NetlinkSocket::change(const Changes& changes) {
  std::vector<std::uint8_t> bytes(batch_max * message_max);
  alignas(nlmsghdr) std::uint8_t answer[answer_max];
  for (std::size_t first = 0; first < changes.count; first += batch_max) {
    const std::size_t last = std::min(changes.count, first + batch_max) - 1;
    const std::uint32_t sequence = sequence_ + 1;
    std::size_t size = 0;
    for (std::size_t i = first; i <= last; ++i) {
      nlmsghdr& message = *mnl_nlmsg_put_header(bytes.data() + size);
      changes.fill(i, message);
      message.nlmsg_flags |= NLM_F_REQUEST;
      // A failure is always answered.
      if (i == last) message.nlmsg_flags |= NLM_F_ACK;
      message.nlmsg_seq = ++sequence_;
      size += NLMSG_ALIGN(message.nlmsg_len);
    }
    send(bytes.data(), size);
    for (bool is_done = false; !is_done;) {
      for_each_netlink_message(receive(answer), [&](const nlmsghdr& message) {
        if (message.nlmsg_type != NLMSG_ERROR || message.nlmsg_seq - sequence > last - first)
          return;
        const Outcome outcome = outcome_in(message);
        if (outcome.error != 0) {
          fail(changes.text(first + (outcome.sequence - sequence)), outcome.error, outcome.text);
        }
        is_done = outcome.sequence == sequence_;
      });
    }
  }
}

}  // namespace swnat::rules
