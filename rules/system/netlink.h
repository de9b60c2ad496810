// Asking and telling the kernel by netlink, thousands of things at once. For one thread at a time.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

// For libmnl, which is C.
template <class Take>
int call_with_attribute(const nlattr* attribute, void* take) {
  (*static_cast<Take*>(take))(*attribute);
  return MNL_CB_OK;
}

// Of messages that lie one behind the other.
template <class Take>
void for_each_netlink_message(std::span<const std::uint8_t> bytes, Take take) {
  const auto* message = reinterpret_cast<const nlmsghdr*>(bytes.data());
  for (int left = static_cast<int>(bytes.size()); mnl_nlmsg_ok(message, left);
       message = mnl_nlmsg_next(message, &left)) {
    take(*message);
  }
}

// Of the attributes of a message, behind its header and one more of this size.
template <class Take>
void for_each_attribute(const nlmsghdr& message, std::size_t header, Take take) {
  mnl_attr_parse(&message, static_cast<unsigned>(header), call_with_attribute<Take>, &take);
}
// Of those within an attribute.
template <class Take>
void for_each_attribute(const nlattr& outer, Take take) {
  mnl_attr_parse_nested(&outer, call_with_attribute<Take>, &take);
}

// 0 if there is none, or it has another size.
template <class T>
T number_in(const nlattr* attribute) {
  T value{};
  if (attribute != nullptr && mnl_attr_get_payload_len(attribute) == sizeof value) {
    std::memcpy(&value, mnl_attr_get_payload(attribute), sizeof value);
  }
  return value;
}

// The attributes of a message behind a header of its kind, or those within an attribute, by their
// types.
template <std::size_t types>
class Attributes {
 public:
  Attributes(const nlmsghdr& message, std::size_t header) {
    for_each_attribute(message, header, [this](const nlattr& each) { add(each); });
  }
  explicit Attributes(const nlattr& outer) {
    for_each_attribute(outer, [this](const nlattr& each) { add(each); });
  }

  bool has(std::size_t type) const { return found_[type] != nullptr; }
  // Null if there is none.
  const nlattr* get(std::size_t type) const { return found_[type]; }
  // 0 if there is none, or it has another size.
  template <class T = std::uint32_t>
  T number(std::size_t type) const {
    return number_in<T>(found_[type]);
  }
  std::string text(std::size_t type) const {
    if (!has(type)) return "";
    const char* first = static_cast<const char*>(mnl_attr_get_payload(found_[type]));
    return {first, strnlen(first, mnl_attr_get_payload_len(found_[type]))};
  }

 private:
  void add(const nlattr& each) {
    const std::uint16_t type = mnl_attr_get_type(&each);
    if (type < types) found_[type] = &each;
  }

  std::array<const nlattr*, types> found_{};
};

class NetlinkSocket {
 public:
  // Writes header and attributes of a message into an empty one, by mnl_nlmsg_put_extra_header()
  // and mnl_attr_put(); flags other than NLM_F_REQUEST, NLM_F_DUMP and NLM_F_ACK are its own.
  using Fill = std::function<void(nlmsghdr&)>;
  using Take = std::function<void(const nlmsghdr&)>;

  // NETLINK_ROUTE or NETLINK_NETFILTER. Throws KernelError.
  explicit NetlinkSocket(int protocol);

  // The messages of the kernel's answer; none if what they belong to does not exist. Asks again
  // where others changed it meanwhile. `what` is for the message of a failure. Throws KernelError.
  std::vector<std::uint8_t> dump(const Fill& fill, std::string_view what);
  // The same for more than should be in memory at once: `take` is given one message after the
  // other, and `start` is called before the first, each time that it asks.
  void dump(const Fill& fill, std::string_view what, const std::function<void()>& start,
            const Take& take);

  // One question that the kernel answers with one message, which `take` is given, or an error,
  // which is returned: errno, or 0. The kernel answers within the call that asks, so nothing is
  // waited for. Throws KernelError if there is no answer.
  int ask(const Fill& fill, const Take& take);

  // Has the kernel do this many things in order, of which `fill` writes the message and `text` is
  // for the message of a failure. Throws KernelError for the first that failed; of those behind it
  // some may be done.
  struct Changes {
    std::size_t count = 0;
    std::function<void(std::size_t, nlmsghdr&)> fill;
    std::function<std::string(std::size_t)> text;
  };
  void change(const Changes& changes);

 private:
  struct Closer {
    void operator()(mnl_socket* socket) const;
  };
  void send(std::uint8_t* bytes, std::size_t size) const;
  std::span<const std::uint8_t> receive(std::span<std::uint8_t> room) const;
  bool dump_once(const Fill& fill, std::string_view what, const Take& take);

  std::unique_ptr<mnl_socket, Closer> socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace swnat::rules
