// The mapping log as datagrams, one for each record: to syslog (RFC 5424) or systemd's journal.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "nfq/file_descriptor.h"
#include "nfq/log_output.h"
#include "nfq/log_wait.h"
#include "rules/config/log_config.h"

namespace swnat::nfq {

// Where datagrams are sent.
struct DatagramAddress {
  sockaddr_storage socket = {};
  socklen_t size = 0;
  std::string text;  // for people

  static DatagramAddress of_path(const std::string& path);
  static DatagramAddress of_endpoint(const IpEndpoint& endpoint);
};

class LogDatagrams : public LogOutput {
 public:
  LogDatagrams(LogOutputKind kind, DatagramAddress address, LogCounters& counters);

 private:
  Taken take(const LogBatch& batch, Time now) override;
  void close() override { socket_.reset(); }
  virtual void append_datagram(std::string& text, const LogRecord& record,
                               std::string_view json) const = 0;

  std::string open();
  std::string send(std::string_view datagram, const LogWait& wait) const;

  DatagramAddress address_;
  FileDescriptor socket_;
  std::string text_;
};

// The message is the record as JSON, the message's id the event's name, the facility `daemon`.
class SyslogOutput : public LogDatagrams {
 public:
  SyslogOutput(DatagramAddress address, LogCounters& counters);

  static constexpr const char* local = "/dev/log";

 private:
  void append_datagram(std::string& text, const LogRecord& record,
                       std::string_view json) const override;

  std::string host_;
};

// The message is the record as JSON; fields are as journalctl(1) matches them: SWNAT_EVENT,
// SWNAT_NAMESPACE, SWNAT_EXTERNAL. libsystemd's own functions would wait for a journal that hangs.
class JournalOutput : public LogDatagrams {
 public:
  JournalOutput(DatagramAddress address, LogCounters& counters);

  static constexpr const char* local = "/run/systemd/journal/socket";

 private:
  void append_datagram(std::string& text, const LogRecord& record,
                       std::string_view json) const override;
};

}  // namespace swnat::nfq
