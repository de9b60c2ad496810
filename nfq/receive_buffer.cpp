#include "nfq/receive_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace swnat::nfq {

ReceiveBuffer::ReceiveBuffer() : messages_(slots), vectors_(slots), senders_(slots) {
  void* mapped = ::mmap(nullptr, memory, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<std::uint8_t*>(mapped);
  for (std::size_t slot = 0; slot < slots; ++slot) {
    vectors_[slot] = {memory_ + slot * slot_size, slot_size};
    messages_[slot].msg_hdr.msg_iov = &vectors_[slot];
    messages_[slot].msg_hdr.msg_iovlen = 1;
    messages_[slot].msg_hdr.msg_name = &senders_[slot];
  }
}

ReceiveBuffer::~ReceiveBuffer() {
  ::munmap(memory_, memory);
}

int ReceiveBuffer::receive(int socket) {
  for (mmsghdr& message : messages_) message.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
  const int received = ::recvmmsg(socket, messages_.data(), slots, MSG_DONTWAIT, nullptr);
  count_ = received > 0 ? static_cast<std::size_t>(received) : 0;
  return received < 0 ? errno : 0;
}

std::span<std::uint8_t> ReceiveBuffer::datagram(std::size_t slot) {
  if (senders_[slot].nl_pid != 0) return {};
  const std::size_t size = std::min<std::size_t>(messages_[slot].msg_len, slot_size);
  return {memory_ + slot * slot_size, size};
}

}  // namespace swnat::nfq
