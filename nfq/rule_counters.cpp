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

bool ask(int fd) {
  std::array<char, 256> bytes{};
  nlmsghdr* header = mnl_nlmsg_put_header(bytes.data());
  header->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = sequence;
  auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  family->nfgen_family = NFPROTO_INET;
  family->version = NFNETLINK_V0;
  mnl_attr_put_strz(header, NFTA_OBJ_TABLE, table);
  mnl_attr_put_u32(header, NFTA_OBJ_TYPE, htobe32(NFT_OBJECT_COUNTER));
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  return ::sendto(fd, header, header->nlmsg_len, 0, reinterpret_cast<const sockaddr*>(&kernel),
                  sizeof kernel) == ssize_t{header->nlmsg_len};
}

// False after the last message.
bool take(NetlinkBytes bytes, std::vector<RuleCounter>& counters) {
  return for_each_message(bytes, [&](std::uint16_t type, NetlinkBytes message) {
    if (type == NLMSG_DONE || type == NLMSG_ERROR) return false;
    if (auto counter = rule_counter(message)) counters.push_back(std::move(*counter));
    return true;
  });
}

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
  std::vector<RuleCounter> counters;
  const FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!fd) return counters;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &longest_wait, sizeof longest_wait);
  if (!ask(fd.get())) return counters;
  alignas(nlmsghdr) std::array<std::uint8_t, 32'768> bytes;
  for (;;) {
    const ssize_t size = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
    if (size <= 0) break;
    if (!take({bytes.data(), static_cast<std::size_t>(size)}, counters)) break;
  }
  std::ranges::sort(counters, {}, &RuleCounter::name);
  return counters;
}

}  // namespace swnat::nfq
