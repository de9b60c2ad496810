// Small datagrams for the guest, which has no larger programs: a UDP server that tells who it sees,
// a client that chooses its source port, and single fragments with any source and identification.
//
//   wire serve ADDRESS PORT                    answers every datagram with "SENDER:PORT TEXT"
//   wire ask ADDRESS PORT SOURCE-PORT TEXT     sends TEXT, prints the answer; exit 1 if none comes
//   wire fragment SOURCE REMOTE PORT ID PART   sends one of two fragments: PART is first or last
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/support/fragments.h"

namespace {

using namespace swnat::test;

[[noreturn]] void fail(const std::string& what) {
  std::perror(("wire: " + what).c_str());
  std::exit(1);
}

std::uint16_t number(const char* text) {
  return static_cast<std::uint16_t>(std::strtoul(text, nullptr, 10));
}

sockaddr_in endpoint(const char* address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  if (inet_pton(AF_INET, address, &result.sin_addr) != 1) fail(address);
  return result;
}

std::string text_of(const sockaddr_in& from) {
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &from.sin_addr, text.data(), text.size());
  return std::string(text.data()) + ":" + std::to_string(ntohs(from.sin_port));
}

int bound_socket(const sockaddr_in& local) {
  const int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  if (descriptor < 0) fail("socket");
  if (bind(descriptor, reinterpret_cast<const sockaddr*>(&local), sizeof local) < 0) fail("bind");
  return descriptor;
}

int serve(const sockaddr_in& local) {
  const int descriptor = bound_socket(local);
  for (;;) {
    std::array<char, 2048> text{};
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t length = recvfrom(descriptor, text.data(), text.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &size);
    if (length < 0) fail("recvfrom");
    const std::string answer =
        text_of(from) + " " + std::string(text.data(), static_cast<std::size_t>(length));
    // Whether there is a way back to the sender is not this server's business.
    sendto(descriptor, answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&from),
           sizeof from);
  }
}

int ask(const sockaddr_in& remote, std::uint16_t source_port, const std::string& question) {
  const int descriptor = bound_socket(endpoint("0.0.0.0", source_port));
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&remote), sizeof remote) < 0) {
    fail("connect");
  }
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (send(descriptor, question.data(), question.size(), 0) < 0) fail("send");
  std::array<char, 2048> answer{};
  const ssize_t length = recv(descriptor, answer.data(), answer.size(), 0);
  if (length < 0) fail("no answer");
  std::printf("%.*s\n", static_cast<int>(length), answer.data());
  return 0;
}

Peer peer_of(const sockaddr_in& end) {
  return {Host::from_host(ntohl(end.sin_addr.s_addr)), ntohs(end.sin_port)};
}

// The datagram holds 8 bytes in its first fragment, after the UDP header, and 8 in its last. It has
// no checksum, so that parts of two senders would pass for one datagram.
int fragment(const sockaddr_in& source, const sockaddr_in& remote, std::uint16_t id,
             const std::string& part) {
  const Bytes payload = text("ffffffffllllllll");
  const Bytes datagram = udp(peer_of(source), peer_of(remote), payload, {.id = id});
  const auto pieces = fragments_of(unsummed(datagram), 16);
  const Bytes& packet = part == "first" ? pieces.front() : pieces.back();

  const int descriptor = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (descriptor < 0) fail("socket");
  if (sendto(descriptor, packet.data(), packet.size(), 0,
             reinterpret_cast<const sockaddr*>(&remote), sizeof remote) < 0) {
    fail("sendto");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "serve" && argc == 4) return serve(endpoint(argv[2], number(argv[3])));
  if (verb == "ask" && argc == 6) {
    return ask(endpoint(argv[2], number(argv[3])), number(argv[4]), argv[5]);
  }
  if (verb == "fragment" && argc == 7) {
    return fragment(endpoint(argv[2], 5000), endpoint(argv[3], number(argv[4])), number(argv[5]),
                    argv[6]);
  }
  std::fputs("wire: see the top of wire.cpp for its arguments\n", stderr);
  return 2;
}
