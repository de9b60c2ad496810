#include "rules/nft/elements.h"

#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "rules/text/digest.h"

namespace swnat::rules {
namespace {

// Of the attributes that say what an element is.
std::uint64_t digest_of(const nlattr& element) {
  Digest digest;
  for_each_attribute(element, [&](const nlattr& each) {
    constexpr std::uint16_t kept[] = {NFTA_SET_ELEM_KEY, NFTA_SET_ELEM_KEY_END, NFTA_SET_ELEM_DATA,
                                      NFTA_SET_ELEM_FLAGS};
    if (std::ranges::find(kept, mnl_attr_get_type(&each)) == std::end(kept)) return;
    digest.add({reinterpret_cast<const char*>(&each), mnl_attr_get_len(&each)});
  });
  return digest.value();
}

// Calls `take` with each element of a set.
template <class Take>
void for_each_element(NetlinkSocket& netfilter, std::string_view set, Take take) {
  const std::string name(set);
  const std::vector<std::uint8_t> answer = netfilter.dump(
      [&](nlmsghdr& message) {
        message.nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM;
        auto& header =
            *static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(&message, sizeof(nfgenmsg)));
        header.nfgen_family = NFPROTO_INET;
        header.version = NFNETLINK_V0;
        mnl_attr_put_strz(&message, NFTA_SET_ELEM_LIST_TABLE, "swnat");
        mnl_attr_put_strz(&message, NFTA_SET_ELEM_LIST_SET, name.c_str());
      },
      fmt::format("listing the elements of {} of nft table inet swnat", set));
  for_each_netlink_message(answer, [&](const nlmsghdr& message) {
    for_each_attribute(message, sizeof(nfgenmsg), [&](const nlattr& list) {
      if (mnl_attr_get_type(&list) == NFTA_SET_ELEM_LIST_ELEMENTS) for_each_attribute(list, take);
    });
  });
}

}  // namespace

std::string elements_text(NetlinkSocket& netfilter, std::string_view set) {
  std::vector<std::uint64_t> digests;
  for_each_element(netfilter, set, [&](const nlattr& each) { digests.push_back(digest_of(each)); });
  std::sort(digests.begin(), digests.end());
  Digest all;
  for (const std::uint64_t each : digests) {
    all.add({reinterpret_cast<const char*>(&each), sizeof each});
  }
  return fmt::format("elements: {}, {:016x}", digests.size(), all.value());
}

std::vector<std::uint32_t> number_keys(NetlinkSocket& netfilter, std::string_view set) {
  std::vector<std::uint32_t> keys;
  for_each_element(netfilter, set, [&](const nlattr& each) {
    const Attributes<NFTA_SET_ELEM_KEY + 1> element(each);
    if (!element.has(NFTA_SET_ELEM_KEY)) return;
    const Attributes<NFTA_DATA_VALUE + 1> key(*element.get(NFTA_SET_ELEM_KEY));
    keys.push_back(key.number(NFTA_DATA_VALUE));
  });
  return keys;
}

}  // namespace swnat::rules
