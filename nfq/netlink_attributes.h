// The attributes of netlink messages, as they come from the kernel.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace swnat::nfq {

using NetlinkBytes = std::span<const std::uint8_t>;

struct NetlinkAttribute {
  std::uint16_t type = 0;
  NetlinkBytes value;

  std::string_view text() const {
    const std::string_view all(reinterpret_cast<const char*>(value.data()), value.size());
    return all.substr(0, all.find('\0'));
  }
  // In the byte order of the attribute; 0 if it is shorter.
  template <class T>
  T number() const {
    T found{};
    if (value.size() >= sizeof found) std::memcpy(&found, value.data(), sizeof found);
    return found;
  }
};

// What follows the netlink header and one more of this size; empty if the message is too short.
inline NetlinkBytes attributes_of(NetlinkBytes message, std::size_t header) {
  const std::size_t before = NLMSG_HDRLEN + NLMSG_ALIGN(header);
  return message.size() < before ? NetlinkBytes{} : message.subspan(before);
}

// Up to the first that contradicts the size of all.
template <class Take>
void for_each_attribute(NetlinkBytes rest, Take take) {
  nlattr header{};
  while (rest.size() >= sizeof header) {
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > rest.size()) return;
    take(NetlinkAttribute{static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                          rest.subspan(sizeof header, header.nla_len - sizeof header)});
    rest = rest.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), rest.size()));
  }
}

// The messages of what was received at once. `take` returns false to end it.
template <class Take>
bool for_each_message(NetlinkBytes rest, Take take) {
  nlmsghdr header{};
  while (rest.size() >= sizeof header) {
    std::memcpy(&header, rest.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) return true;
    if (!take(header.nlmsg_type, rest.first(header.nlmsg_len))) return false;
    rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
  }
  return true;
}

}  // namespace swnat::nfq
