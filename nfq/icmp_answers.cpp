#include "nfq/icmp_answers.h"

#include "engine/wire/parse.h"

namespace swnat::nfq {

void IcmpAnswers::consider(const Packet& dropped, std::uint32_t fwmark, Time now) {
  if (!deserves_answer(dropped.reason) || dropped.direction == Direction::inbound) return;
  const std::size_t size = write(dropped.bytes);
  const bool sent = size != 0 && rate_.take(dropped.namespace_id, now) &&
                    sink_.send(std::span(answer_).first(size), fwmark);
  counters_.add(sent ? QueueCounter::answers_sent : QueueCounter::answers_suppressed);
}

std::size_t IcmpAnswers::write(std::span<const std::uint8_t> packet) {
  const std::span answer(answer_);
  if (ip_version(packet) == 4) {
    return write_icmp_answer(packet, Ipv4Address{}, answer.first<ipv4_answer_max>());
  }
  return write_icmp_answer(packet, Ipv6Address{}, answer.first<ipv6_answer_max>());
}

}  // namespace swnat::nfq
