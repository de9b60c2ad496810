#include "nfq/log_datagrams.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "rules/text/utc_text.h"
#include "swnat/address_text.h"

namespace swnat::nfq {
namespace {

constexpr int priority = 3 * 8 + 6;  // facility daemon, severity informational

// A header's fields are words of visible ASCII (RFC 5424, section 6).
std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "-";
  std::string word(name.data());
  std::ranges::replace_if(
      word, [](char c) { return c <= ' ' || c > '~'; }, '_');
  return word;
}

std::string_view event_of(const LogRecord& record) {
  return record.begins ? "begun" : name_of(record.event.kind);
}

}  // namespace

DatagramAddress DatagramAddress::of_path(const std::string& path) {
  DatagramAddress address;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  std::memcpy(&address.socket, &name, sizeof name);
  address.size = sizeof name;
  address.text = path;
  return address;
}

DatagramAddress DatagramAddress::of_endpoint(const IpEndpoint& endpoint) {
  DatagramAddress address;
  if (const auto* v4 = std::get_if<Ipv4Address>(&endpoint.address)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(endpoint.port);
    static_assert(sizeof *v4 == sizeof name.sin_addr);
    std::memcpy(&name.sin_addr, v4, sizeof name.sin_addr);
    std::memcpy(&address.socket, &name, sizeof name);
    address.size = sizeof name;
  } else {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(endpoint.port);
    const auto& v6 = std::get<Ipv6Address>(endpoint.address);
    static_assert(sizeof v6 == sizeof name.sin6_addr);
    std::memcpy(&name.sin6_addr, &v6, sizeof name.sin6_addr);
    std::memcpy(&address.socket, &name, sizeof name);
    address.size = sizeof name;
  }
  address.text = to_text(endpoint);
  return address;
}

LogDatagrams::LogDatagrams(LogOutputKind kind, DatagramAddress address, LogCounters& counters)
    : LogOutput(kind, address.text, counters), address_(std::move(address)) {}

std::string LogDatagrams::open() {
  FileDescriptor socket(
      ::socket(address_.socket.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* name = reinterpret_cast<const sockaddr*>(&address_.socket);
  if (!socket || ::connect(socket.get(), name, address_.size) != 0) return std::strerror(errno);
  socket_ = std::move(socket);
  return {};
}

LogOutput::Taken LogDatagrams::take(const LogBatch& batch, Time /*now*/) {
  const LogWait wait(longest_wait);
  if (!socket_) {
    if (std::string fault = open(); !fault.empty()) return {0, std::move(fault)};
  }
  for (std::size_t i = 0; i < batch.records().size(); ++i) {
    std::string_view json = batch.line(i);
    json.remove_suffix(1);
    text_.clear();
    append_datagram(text_, batch.records()[i], json);
    if (std::string fault = send(text_, wait); !fault.empty()) {
      socket_.reset();
      return {i, std::move(fault)};
    }
  }
  return {batch.records().size(), {}};
}

std::string LogDatagrams::send(std::string_view datagram, const LogWait& wait) const {
  for (;;) {
    if (::send(socket_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != ENOBUFS) return std::strerror(errno);
    if (!wait.becomes_writable(socket_.get())) return "it takes too little";
  }
}

SyslogOutput::SyslogOutput(DatagramAddress address, LogCounters& counters)
    : LogDatagrams(LogOutputKind::syslog, std::move(address), counters), host_(host_name()) {}

void SyslogOutput::append_datagram(std::string& text, const LogRecord& record,
                                   std::string_view json) const {
  fmt::format_to(std::back_inserter(text), "<{}>1 {} {} swnat-nfq {} {} - {}", priority,
                 rules::utc_text(record.time), host_, ::getpid(), event_of(record), json);
}

JournalOutput::JournalOutput(DatagramAddress address, LogCounters& counters)
    : LogDatagrams(LogOutputKind::journal, std::move(address), counters) {}

// A field's value must not have a line's end in this form; JSON has none, but names may.
void JournalOutput::append_datagram(std::string& text, const LogRecord& record,
                                    std::string_view json) const {
  fmt::format_to(std::back_inserter(text),
                 "MESSAGE={}\nPRIORITY=6\nSYSLOG_IDENTIFIER=swnat-nfq\nSWNAT_EVENT={}\n", json,
                 event_of(record));
  if (record.begins || record.event.kind == EventKind::lost) return;
  if (record.namespace_name.find('\n') == std::string_view::npos) {
    fmt::format_to(std::back_inserter(text), "SWNAT_NAMESPACE={}\n", record.namespace_name);
  }
  fmt::format_to(std::back_inserter(text), "SWNAT_EXTERNAL={}\n", to_text(record.event.external));
}

}  // namespace swnat::nfq
