// What the tenants have asked for and were given: ports that are forwarded to them, and sessions
// that are kept for them. It knows no protocol's messages.
//
// Theory of operation
//
// The daemon has the forwards, and ends each when its time is over. Here is who asked for it, which
// the daemon keeps as a note, so that all can be read back when either program was started again.
// Sessions that are kept are known here only; they are asked for again and again until their time
// is over.
//
// The epoch is when the oldest of what was given can have been given: it goes on over restarts, and
// begins anew when something was lost, which clients are told (RFC 6887 section 8.5). For that all
// that was given is saved by the caller, and compared with what the daemon has.
//
// Nothing here waits. An answer comes when the daemon has given it; where it gives none there is no
// answer, because clients ask again. A namespace may have a few questions under way at a time, and
// one about the same thing, so that the daemon's time is shared.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "rules/config/config.h"
#include "swnat/address.h"
#include "tools/pcp/control.h"
#include "tools/pcp/pcp_message.h"

namespace swnat::pcp {

using Seconds = std::chrono::seconds;  // of a clock that counts from the machine's start

inline constexpr Seconds shortest_lifetime{120};  // RFC 6887 section 15

// A port that a tenant wants, or wants no longer.
struct Wish {
  std::uint8_t protocol = 0;
  IpEndpoint internal;
  std::string holder;  // who asks, and alone may change it: the nonce
  IpEndpoint suggested;
  bool is_exact = false;  // what is suggested, or nothing
  Seconds lifetime{0};
  Seconds shortest = shortest_lifetime;  // that is given
};

// A session that a tenant wants to be kept.
struct SessionWish {
  std::uint8_t protocol = 0;
  IpEndpoint internal;
  IpEndpoint remote;
  std::string holder;
  IpEndpoint suggested;
  Seconds lifetime{0};
};

struct Grant {
  Result result = Result::success;
  IpEndpoint external;
  Seconds lifetime{0};  // of a refusal: how long that is so
};

class Book {
 public:
  using Reply = std::function<void(const Grant&)>;

  // Of `saved`, what saved() was in this boot; null for nothing. `control` must outlive this.
  Book(Control& control, const Json& saved, Seconds now);

  void set_config(const rules::Config& config);

  // Asks what the daemon has. Nothing is given before that is known.
  void synchronise(Seconds now);
  // To be called about once a second: repeats what must be, and looks whether the daemon is
  // another.
  void tick(Seconds now);
  bool is_synchronised() const { return is_synchronised_; }

  // Each replies later, or never.
  void map(const std::string& tenant, const Wish& wish, Seconds now, Reply reply);
  void unmap(const std::string& tenant, const Wish& wish, Seconds now, Reply reply);
  // All of this address and holder; a protocol of 0 means all protocols.
  void unmap_all(const std::string& tenant, const Wish& wish, Seconds now, const Reply& reply);
  void keep(const std::string& tenant, const SessionWish& wish, Seconds now, Reply reply);
  // The session lives on as long as others do, but is asked for no more.
  void release(const std::string& tenant, const SessionWish& wish, Seconds now, const Reply& reply);

  // The external address that this host has, or would most probably get; nothing if there is none
  // of its family.
  std::optional<IpAddress> external_address(const std::string& tenant, const IpAddress& host) const;

  std::uint32_t epoch(Seconds now) const;
  // How often the epoch began anew: whoever sees another number announces it.
  std::uint32_t losses() const { return losses_; }

  // Whether saved() is another than when this was last called.
  bool take_changed() { return std::exchange(is_changed_, false); }
  Json saved() const;

 private:
  struct Key {
    std::uint8_t protocol;
    std::string internal;
    std::string remote;  // of a kept session; empty for a port

    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    std::string holder;
    IpEndpoint external;
    Seconds until;
    Seconds repeat_at{0};  // of a kept session: when it is asked for again
  };
  struct Tenant {
    std::map<Key, Entry> entries;
    std::set<Key> under_way;
  };

  static Key key_of(const Wish& wish);
  static Key key_of(const SessionWish& wish);
  static Json save(const std::string& tenant, const Key& key, const Entry& entry);
  void restore(const Json& saved);
  static std::optional<Grant> refusal(Tenant& tenant, const Key& key, const std::string& holder,
                                      Seconds now);
  bool has_room(const Tenant& tenant, const Key& key) const;
  bool ask(const std::string& tenant, const Key& key, const Json& request, Control::Done done);
  void remove(const std::string& tenant, const Key& key, std::function<void()> done);
  void remove_all(const std::string& tenant, std::vector<Key> keys, const Reply& reply);
  bool has_external(const std::string& tenant, const IpAddress& address) const;
  std::optional<std::string> wanted_external(const std::string& tenant, const Wish& wish) const;
  Seconds given(Seconds lifetime, Seconds shortest) const;
  void compare(const Json& forwards, Seconds now);
  void begin_epoch(Seconds now);
  void look_at_daemon(Seconds now);
  void schedule(const std::string& tenant, const Key& key, Seconds when);
  void repeat(Seconds now);
  void keep_again(const std::string& tenant, const Key& key, Seconds now);
  void complain(const std::string& what, const Json& answer);
  static Json keep_request(const std::string& tenant, const Key& key);

  Control& control_;
  std::map<std::string, Tenant> tenants_;
  // When kept sessions are asked for next. Where the entry says another time, it is out of date.
  std::set<std::tuple<Seconds, std::string, Key>> to_repeat_;
  std::map<std::string, AddressLists> externals_;  // by namespace
  PortRanges ports_;
  std::uint32_t most_ = 0;
  Seconds longest_{0};
  Seconds repeat_after_{0};
  Seconds epoch_start_;
  Seconds next_look_{0};
  bool is_synchronised_ = false;
  bool is_asking_ = false;              // what the daemon has, or whether it is another
  std::optional<std::int64_t> daemon_;  // its process id
  std::string complained_;              // the last line of error
  std::uint32_t losses_ = 0;
  bool is_changed_ = false;
};

}  // namespace swnat::pcp
