// The mapping log to an IPFIX collector, over UDP or TCP.
#pragma once

#include <string>

#include "nfq/file_descriptor.h"
#include "nfq/ipfix_message.h"
#include "nfq/log_datagrams.h"
#include "nfq/log_output.h"
#include "rules/config/log_config.h"

namespace swnat::nfq {

// Theory of operation
//
// Over UDP each message is a datagram that the path takes as a whole, and the templates are sent
// again every minute, since any datagram may be lost and collectors restart. A message that
// could not be sent counts in the sequence number, so that the collector knows that it lacks
// something; what comes while the output is left alone does not. Collectors
// take all that one address sends for one session, so the socket stays the same. Over TCP the
// templates come once, with the connection; a message that is not taken in time ends it, because
// nothing may follow a part of one.
class IpfixOutput : public LogOutput {
 public:
  static constexpr Time template_pause{60'000};

  IpfixOutput(const rules::LogReceiver& receiver, bool destinations, LogCounters& counters);

 private:
  Taken take(const LogBatch& batch, Time now) override;
  std::string keep(Time now) override;
  void close() override;

  std::string open(const LogWait& wait);
  std::string keep(Time now, const LogWait& wait);
  bool is_closed_by_peer() const;
  std::string send_templates(Time now, const LogWait& wait);
  std::string send(std::string_view bytes, const LogWait& wait);
  std::size_t message_size() const;

  DatagramAddress address_;
  bool is_stream_;
  IpfixEncoder encoder_;
  FileDescriptor socket_;
  Time templates_due_{0};
};

}  // namespace swnat::nfq
