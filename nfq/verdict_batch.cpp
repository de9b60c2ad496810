#include "nfq/verdict_batch.h"

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>

namespace swnat::nfq {
namespace {

constexpr std::size_t pieces_per_verdict = 2;
constexpr std::size_t attribute_header_size = sizeof(nlattr);
constexpr std::size_t alignment = MNL_ALIGNTO;

// Starts a message in `header`, with its verdict.
nlmsghdr* put_verdict(std::span<std::uint8_t> header, std::uint16_t queue, std::uint32_t id,
                      int verdict) {
  nlmsghdr* message =
      nfq_nlmsg_put(reinterpret_cast<char*>(header.data()), NFQNL_MSG_VERDICT, queue);
  nfq_nlmsg_verdict_put(message, static_cast<int>(id), verdict);
  return message;
}

// The library's own call would copy the bytes. The attribute's length must be exact: alignment
// counted in it would grow the packet.
void put_payload_header(nlmsghdr* message, std::size_t size) {
  auto* attribute = static_cast<nlattr*>(mnl_nlmsg_get_payload_tail(message));
  attribute->nla_type = NFQA_PAYLOAD;
  attribute->nla_len = static_cast<std::uint16_t>(attribute_header_size + size);
  message->nlmsg_len += static_cast<std::uint32_t>(attribute_header_size + size);
}

}  // namespace

void VerdictBatch::accept(std::uint32_t id, std::span<const std::uint8_t> bytes,
                          std::optional<std::uint32_t> fwmark) {
  Verdict& verdict = verdicts_[count_++];
  nlmsghdr* message = put_verdict(verdict.header, queue_, id, NF_ACCEPT);
  if (fwmark) nfq_nlmsg_verdict_put_mark(message, *fwmark);
  put_payload_header(message, bytes.size());
  verdict.header_size = message->nlmsg_len - static_cast<std::uint32_t>(bytes.size());
  verdict.id = id;
  verdict.bytes = bytes;
  verdict.counts_as = QueueCounter::accepted;
  bytes_ += bytes.size();
}

void VerdictBatch::pass(std::uint32_t id) {
  write_bare(verdicts_[count_++], id, QueueCounter::passed);
}

void VerdictBatch::drop(std::uint32_t id) {
  write_bare(verdicts_[count_++], id, QueueCounter::dropped);
}

void VerdictBatch::write_bare(Verdict& verdict, std::uint32_t id, QueueCounter counts_as) const {
  const int value = counts_as == QueueCounter::passed ? NF_ACCEPT : NF_DROP;
  verdict.header_size = put_verdict(verdict.header, queue_, id, value)->nlmsg_len;
  verdict.id = id;
  verdict.bytes = {};
  verdict.counts_as = counts_as;
}

bool VerdictBatch::is_full(std::size_t size) const {
  return count_ == max_verdicts || (count_ != 0 && bytes_ + size > max_bytes);
}

// The next message begins aligned, so the bytes are sent with up to three that follow them in the
// buffer; no message counts these.
std::size_t VerdictBatch::gather(const Verdict& verdict, std::span<iovec> pieces) const {
  pieces[0] = {const_cast<std::uint8_t*>(verdict.header.data()), verdict.header_size};
  if (verdict.bytes.empty()) return 1;
  const std::size_t aligned = (verdict.bytes.size() + alignment - 1) / alignment * alignment;
  pieces[1] = {const_cast<std::uint8_t*>(verdict.bytes.data()), aligned};
  return 2;
}

bool VerdictBatch::flush(VerdictSink& sink) {
  if (count_ == 0) return true;
  std::array<iovec, max_verdicts * pieces_per_verdict> pieces;
  std::size_t used = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    used += gather(verdicts_[i], std::span(pieces).subspan(used));
  }
  const bool sent = sink.send(std::span(pieces).first(used)) == 0;
  if (sent) {
    for (std::size_t i = 0; i < count_; ++i) counters_.add(verdicts_[i].counts_as);
  }
  const bool complete = sent || flush_each(sink);
  count_ = 0;
  bytes_ = 0;
  return complete;
}

bool VerdictBatch::flush_each(VerdictSink& sink) {
  bool complete = true;
  for (std::size_t i = 0; i < count_; ++i) {
    Verdict& verdict = verdicts_[i];
    std::array<iovec, pieces_per_verdict> pieces;
    std::size_t used = gather(verdict, pieces);
    bool sent = sink.send(std::span(pieces).first(used)) == 0;
    if (sent && verdict.counts_as != QueueCounter::dropped) {
      counters_.add(verdict.counts_as);
      continue;
    }
    if (!sent && !verdict.bytes.empty()) {
      counters_.add(QueueCounter::unsent);
      write_bare(verdict, verdict.id, QueueCounter::dropped);
      used = gather(verdict, pieces);
      sent = sink.send(std::span(pieces).first(used)) == 0;
    }
    counters_.add(QueueCounter::dropped);  // if not by this verdict, then with the socket
    complete = complete && sent;
  }
  return complete;
}

}  // namespace swnat::nfq
