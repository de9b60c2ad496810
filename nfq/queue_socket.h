// A netlink socket that owns one queue. Closing it gives the queue up, and the kernel drops what
// still waits there.
#pragma once

#include <cstdint>

#include "nfq/file_descriptor.h"
#include "nfq/receive_buffer.h"
#include "nfq/verdict_batch.h"

namespace swnat::nfq {

struct QueueSettings {
  std::uint16_t number = 0;
  std::uint32_t max_packets = 0;  // that wait for a verdict
  bool fail_open = false;         // the kernel accepts more, untranslated; else it drops them
};

class QueueSocket final : public VerdictSink {
 public:
  // Opens and binds. Packets that arrive before the kernel has acknowledged are dropped. Throws
  // Error.
  explicit QueueSocket(const QueueSettings& settings);

  int fd() const { return fd_.get(); }
  int send(std::span<iovec> pieces) override;

 private:
  void configure();
  void await_acknowledgement();
  void refuse_waiting(std::span<std::uint8_t> message);
  [[noreturn]] void fail(int error) const;

  QueueSettings settings_;
  FileDescriptor fd_;
};

}  // namespace swnat::nfq
