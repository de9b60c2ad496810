#include "nfq/rule_counters.h"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>

#include "nfq/file_descriptor.h"

namespace swnat::nfq {
namespace {

constexpr const char* table = "swnat";
constexpr std::uint32_t sequence = 1;
// The kernel answers within the call that asks; this only bounds what should never happen.
constexpr timeval longest_wait{0, 200'000};

class TableQuestion {
 public:
  TableQuestion(unsigned type, unsigned flags, std::uint8_t family) {
    header_ = mnl_nlmsg_put_header(bytes_.data());
    header_->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    header_->nlmsg_seq = sequence;
    auto* more = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(nfgenmsg)));
    more->nfgen_family = family;
    more->version = NFNETLINK_V0;
  }

  nlmsghdr* header() { return header_; }

  // Hands each message of the answer to `take`, as for_each_message() does.
  template <class Take>
  void ask(Take take) {
    const FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    if (!fd) return;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &longest_wait, sizeof longest_wait);
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    if (::sendto(fd.get(), header_, header_->nlmsg_len, 0,
                 reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) < 0) {
      return;
    }
    std::array<std::uint8_t, 32'768> answer;
    for (;;) {
      const ssize_t size = ::recv(fd.get(), answer.data(), answer.size(), 0);
      if (size <= 0) return;
      if (!for_each_message({answer.data(), static_cast<std::size_t>(size)}, take)) return;
    }
  }

 private:
  alignas(nlmsghdr) std::array<char, 256> bytes_{};
  nlmsghdr* header_;
};

std::uint64_t packets_in(NetlinkBytes data) {
  std::uint64_t packets = 0;
  for_each_attribute(data, [&](const NetlinkAttribute& each) {
    if (each.type == NFTA_COUNTER_PACKETS) packets = be64toh(each.number<std::uint64_t>());
  });
  return packets;
}

}  // namespace

std::optional<RuleCounter> rule_counter(NetlinkBytes message) {
  RuleCounter counter;
  std::string_view in_table;
  std::uint32_t type = NFT_OBJECT_UNSPEC;
  for_each_attribute(attributes_of(message, sizeof(nfgenmsg)), [&](const NetlinkAttribute& each) {
    if (each.type == NFTA_OBJ_TABLE) in_table = each.text();
    if (each.type == NFTA_OBJ_NAME) counter.name = each.text();
    if (each.type == NFTA_OBJ_TYPE) type = be32toh(each.number<std::uint32_t>());
    if (each.type == NFTA_OBJ_DATA) counter.packets = packets_in(each.value);
  });
  if (type != NFT_OBJECT_COUNTER || in_table != table) return std::nullopt;
  return counter;
}

std::vector<RuleCounter> rule_counters() {
  TableQuestion question(NFT_MSG_GETOBJ, NLM_F_DUMP, NFPROTO_INET);
  mnl_attr_put_strz(question.header(), NFTA_OBJ_TABLE, table);
  mnl_attr_put_u32(question.header(), NFTA_OBJ_TYPE, htobe32(NFT_OBJECT_COUNTER));
  std::vector<RuleCounter> counters;
  question.ask([&](std::uint16_t type, NetlinkBytes message) {
    if (type == NLMSG_DONE || type == NLMSG_ERROR) return false;
    if (auto counter = rule_counter(message)) counters.push_back(std::move(*counter));
    return true;
  });
  std::ranges::sort(counters, {}, &RuleCounter::name);
  return counters;
}

std::optional<std::uint32_t> rules_generation() {
  std::optional<std::uint32_t> generation;
  TableQuestion question(NFT_MSG_GETGEN, 0, NFPROTO_UNSPEC);
  question.ask([&](std::uint16_t type, NetlinkBytes message) {
    if (type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN)) return false;
    for_each_attribute(attributes_of(message, sizeof(nfgenmsg)), [&](const NetlinkAttribute& each) {
      if (each.type == NFTA_GEN_ID) generation = be32toh(each.number<std::uint32_t>());
    });
    return false;
  });
  return generation;
}

}  // namespace swnat::nfq
