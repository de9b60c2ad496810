// Room for one batch of datagrams, reserved once; memory is touched as far as datagrams fill it.
#pragma once

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <vector>

namespace swnat::nfq {

class ReceiveBuffer {
 public:
  // Enough for the cost of a system call to vanish among the packets.
  static constexpr std::size_t slots = 64;
  // The most that one queue message carries (65,531 bytes of packet), its attributes, and room for
  // the alignment of a verdict's payload.
  static constexpr std::size_t slot_size = 65'536 + 4'096;
  static constexpr std::size_t memory = slots * slot_size;  // all bytes

  ReceiveBuffer();
  ~ReceiveBuffer();
  ReceiveBuffer(const ReceiveBuffer&) = delete;
  ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;

  // Reads what waits, at most a batch, and never blocks. Returns 0 or an errno, EAGAIN if nothing
  // waited.
  int receive(int socket);

  std::size_t count() const { return count_; }
  // One datagram of the last batch; empty if it did not come from the kernel.
  std::span<std::uint8_t> datagram(std::size_t slot);

 private:
  std::uint8_t* memory_;
  std::vector<mmsghdr> messages_;
  std::vector<iovec> vectors_;
  std::vector<sockaddr_nl> senders_;
  std::size_t count_ = 0;
};

}  // namespace swnat::nfq
