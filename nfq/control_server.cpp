#include "nfq/control_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <exception>
#include <string_view>
#include <utility>

#include "nfq/error.h"
#include "nfq/log.h"

namespace swnat::nfq {

ControlServer::ControlServer(sd_event* loop, const std::string& path, ControlAsk ask)
    : loop_(loop), socket_(path), ask_(std::move(ask)) {
  sd_event_source* source = nullptr;
  if (sd_event_add_io(loop, &source, socket_.fd(), EPOLLIN, on_connection, this) < 0) {
    throw Error("control socket: cannot be watched");
  }
  connections_.reset(source);
}

int ControlServer::on_connection(sd_event_source*, int, std::uint32_t, void* self) {
  try {
    static_cast<ControlServer*>(self)->accept();
  } catch (const std::exception& error) {
    log("control socket: a client was turned away: {}", error.what());
  }
  return 0;
}

void ControlServer::accept() {
  FileDescriptor client(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client) return;
  if (clients_.size() == max_clients) {
    constexpr std::string_view busy =
        "{\"ok\":false,\"error\":\"too many clients at once; try again\"}\n";
    ::send(client.get(), busy.data(), busy.size(), MSG_NOSIGNAL);
    return;
  }
  clients_.push_back(std::make_unique<ControlClient>(
      loop_, std::move(client), ask_, [this](ControlClient* finished) {
        std::erase_if(clients_, [&](const auto& one) { return one.get() == finished; });
      }));
}

}  // namespace swnat::nfq
