#include "nfq/ipfix_output.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace swnat::nfq {
namespace {

// Ethernet's 1,500 bytes, without headers and what a tunnel on the way may add.
constexpr std::size_t largest_message = 1400;

WallTime wall_now() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

int error_of(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

}  // namespace

IpfixOutput::IpfixOutput(const rules::LogReceiver& receiver, bool destinations,
                         LogCounters& counters)
    : LogOutput(LogOutputKind::ipfix, DatagramAddress::of_endpoint(receiver.endpoint).text,
                counters),
      address_(DatagramAddress::of_endpoint(receiver.endpoint)),
      is_stream_(receiver.transport == rules::Transport::tcp),
      encoder_(destinations) {}

std::string IpfixOutput::open(const LogWait& wait) {
  const int type = is_stream_ ? SOCK_STREAM : SOCK_DGRAM;
  FileDescriptor socket(
      ::socket(address_.socket.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return std::strerror(errno);
  const auto* name = reinterpret_cast<const sockaddr*>(&address_.socket);
  if (::connect(socket.get(), name, address_.size) != 0) {
    if (errno != EINPROGRESS) return std::strerror(errno);
    if (!wait.becomes_writable(socket.get())) return "nobody answers";
    if (const int error = error_of(socket.get()); error != 0) return std::strerror(error);
  }
  socket_ = std::move(socket);
  encoder_.begin();
  templates_due_ = {};
  return {};
}

void IpfixOutput::close() {
  if (is_stream_) socket_.reset();
  templates_due_ = {};
}

// A collector only listens, so what can be read is the connection's end.
bool IpfixOutput::is_closed_by_peer() const {
  char byte = 0;
  return is_stream_ && ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

// Opens what is closed, too, so that a collector knows the templates before there is a record.
std::string IpfixOutput::keep(Time now) {
  return keep(now, LogWait(longest_wait));
}

std::string IpfixOutput::keep(Time now, const LogWait& wait) {
  if (socket_ && is_closed_by_peer()) socket_.reset();
  if (!socket_) {
    if (std::string fault = open(wait); !fault.empty()) return fault;
  }
  return send_templates(now, wait);
}

std::string IpfixOutput::send_templates(Time now, const LogWait& wait) {
  if (now < templates_due_) return {};
  if (std::string fault = send(encoder_.templates(wall_now()), wait); !fault.empty()) return fault;
  templates_due_ = is_stream_ ? Time::max() : now + template_pause;
  return {};
}

LogOutput::Taken IpfixOutput::take(const LogBatch& batch, Time now) {
  const LogWait wait(longest_wait);
  if (std::string fault = keep(now, wait); !fault.empty()) return {0, std::move(fault)};
  const std::size_t size = message_size();
  std::size_t taken = 0;
  while (taken < batch.records().size()) {
    const IpfixMessage message = encoder_.message(batch.records().subspan(taken), wall_now(), size);
    if (!message.bytes.empty()) {
      if (std::string fault = send(message.bytes, wait); !fault.empty()) {
        return {taken, std::move(fault)};
      }
    }
    taken += message.taken;
  }
  return {taken, {}};
}

std::string IpfixOutput::send(std::string_view bytes, const LogWait& wait) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    const int error = errno;
    const bool is_full = error == EAGAIN || error == ENOBUFS;
    if (is_full && wait.becomes_writable(socket_.get())) continue;
    close();
    // A datagram that nobody takes is no reason for another port, by which collectors tell senders
    // apart; but what else fails may be an address that is no longer this machine's.
    if (!is_full && error != ECONNREFUSED) socket_.reset();
    return is_full ? "it takes too little" : std::strerror(error);
  }
  return {};
}

// What the kernel knows of the path by now.
std::size_t IpfixOutput::message_size() const {
  if (is_stream_) return largest_message;
  const bool is_v4 = address_.socket.ss_family == AF_INET;
  const int headers = is_v4 ? 20 + 8 : 40 + 8;
  int mtu = 0;
  socklen_t length = sizeof mtu;
  const int known = is_v4 ? ::getsockopt(socket_.get(), IPPROTO_IP, IP_MTU, &mtu, &length)
                          : ::getsockopt(socket_.get(), IPPROTO_IPV6, IPV6_MTU, &mtu, &length);
  if (known != 0 || mtu <= headers) return IpfixEncoder::least_size;
  return std::clamp(static_cast<std::size_t>(mtu - headers), IpfixEncoder::least_size,
                    largest_message);
}

}  // namespace swnat::nfq
