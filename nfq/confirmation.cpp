#include "nfq/confirmation.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "nfq/control_socket.h"
#include "nfq/error.h"
#include "nfq/file_descriptor.h"
#include "nfq/log.h"

namespace swnat::nfq {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kept = "kept\n";

std::string socket_of(const std::string& control_socket) {
  return control_socket + ".confirm";
}

FileDescriptor ending_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM}) ::sigaddset(&signals, signal);
  FileDescriptor fd(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw Error(fmt::format("signalfd: {}", std::strerror(errno)));
  return fd;
}

// The process is to say what became of it, and not to end by the signal.
bool take_signal(const FileDescriptor& signals) {
  signalfd_siginfo taken{};
  return ::read(signals.get(), &taken, sizeof taken) == ssize_t{sizeof taken};
}

// The socket's group may read what the daemon does, and no more.
bool may_confirm(const FileDescriptor& client) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(client.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == 0 || peer.uid == ::geteuid());
}

bool is_confirmed_by_client(const ControlSocket& socket) {
  const FileDescriptor client(::accept4(socket.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client || !may_confirm(client)) return false;
  return ::send(client.get(), kept.data(), kept.size(), MSG_NOSIGNAL) == ssize_t{kept.size()};
}

// As long as it lives, nobody at the terminal stops this process: stopped, it would take nothing
// back.
class NotStopped {
 public:
  NotStopped() {
    sigset_t stopping;
    ::sigemptyset(&stopping);
    for (const int signal : {SIGTSTP, SIGTTIN, SIGTTOU}) ::sigaddset(&stopping, signal);
    ::pthread_sigmask(SIG_BLOCK, &stopping, &before_);
  }
  ~NotStopped() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  NotStopped(const NotStopped&) = delete;
  NotStopped& operator=(const NotStopped&) = delete;

 private:
  sigset_t before_{};
};

// What was typed, a line as the terminal gives it. `is_there` becomes false with the terminal.
bool is_confirmed_by_terminal(bool& is_there) {
  std::array<char, 256> line;
  const ssize_t size = ::read(STDIN_FILENO, line.data(), line.size());
  is_there = size > 0 || (size < 0 && errno == EINTR);
  std::string_view typed(line.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  while (typed.ends_with('\n') || typed.ends_with(' ')) typed.remove_suffix(1);
  return typed == "y" || typed == "Y" || typed == "yes";
}

}  // namespace

bool wait_for_confirmation(const std::string& control_socket, std::chrono::seconds patience) {
  const ControlSocket socket(socket_of(control_socket));
  const FileDescriptor signals = ending_signals();
  const NotStopped not_stopped;
  ::signal(SIGHUP, SIG_IGN);
  bool has_terminal = ::isatty(STDIN_FILENO) != 0;
  // What was typed before is no answer.
  if (has_terminal) ::tcflush(STDIN_FILENO, TCIFLUSH);
  log(Priority::notice,
      "in place for {} s; to keep it: {}`swnat-nfq confirm`, with the same configuration",
      patience.count(), has_terminal ? "type y and Enter here, or " : "");
  const auto end = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) return false;
    // poll() leaves out what is negative.
    std::array<pollfd, 3> fds{{{signals.get(), POLLIN, 0},
                               {socket.fd(), POLLIN, 0},
                               {has_terminal ? STDIN_FILENO : -1, POLLIN, 0}}};
    const auto wait = std::min(left, std::chrono::milliseconds(std::chrono::hours(1)));
    if (::poll(fds.data(), fds.size(), static_cast<int>(wait.count())) <= 0) continue;
    if (fds[0].revents != 0 && take_signal(signals)) return false;
    if (fds[1].revents != 0 && is_confirmed_by_client(socket)) return true;
    if (fds[2].revents != 0 && is_confirmed_by_terminal(has_terminal)) return true;
  }
}

void confirm(const std::string& control_socket) {
  const std::string path = socket_of(control_socket);
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) throw Error(fmt::format("socket: {}", std::strerror(errno)));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket.get(), generic, sizeof address) != 0) {
    if (errno != ENOENT && errno != ECONNREFUSED) {
      throw Error(fmt::format("{}: {}", path, std::strerror(errno)));
    }
    throw Error(fmt::format("nothing waits for a confirmation here: {} is not there", path));
  }
  std::array<char, kept.size()> answer{};
  const ssize_t size = ::recv(socket.get(), answer.data(), answer.size(), MSG_WAITALL);
  if (size == ssize_t{kept.size()} && std::string_view(answer.data(), answer.size()) == kept) {
    return;
  }
  throw Error("not confirmed: the time was over, or only root may");
}

}  // namespace swnat::nfq
