// How the book and the daemon stay of one mind: what is read back, repeated and found lost.
#include <algorithm>
#include <utility>

#include "swnat/address_text.h"
#include "tools/pcp/book.h"
#include "tools/pcp/log.h"

namespace swnat::pcp {
namespace {

constexpr Seconds look_pause{5};
// What is over so soon may be gone in the daemon already.
constexpr Seconds about_to_end{5};
constexpr std::size_t repeats_a_second = 64;

}  // namespace

// --- what was saved, and the epoch

Book::Book(Control& control, const Json& saved, Seconds now)
    : control_(control), epoch_start_(now) {
  if (!saved.is_object()) {
    begin_epoch(now);
    return;
  }
  epoch_start_ = std::min(now, seconds_in(saved, "epoch_start"));
  const auto entries = saved.find("entries");
  if (entries == saved.end() || !entries->is_array()) return;
  for (const Json& each : *entries) {
    if (each.is_object()) restore(each);
  }
}

void Book::restore(const Json& saved) {
  const auto external = parse_endpoint(text_in(saved, "external"));
  const Key key{protocol_in(saved), text_in(saved, "to"), text_in(saved, "remote")};
  if (!external || !parse_endpoint(key.internal)) return;
  const std::string tenant = text_in(saved, "namespace");
  tenants_[tenant].entries[key] = {text_in(saved, "note"), *external, seconds_in(saved, "until")};
  if (!key.remote.empty()) schedule(tenant, key, Seconds(0));
}

Json Book::save(const std::string& tenant, const Key& key, const Entry& entry) {
  return {{"namespace", tenant},         {"protocol", name_of(key.protocol)},
          {"to", key.internal},          {"remote", key.remote},
          {"note", entry.holder},        {"external", to_text(entry.external)},
          {"until", entry.until.count()}};
}

Json Book::saved() const {
  Json entries = Json::array();
  for (const auto& [name, tenant] : tenants_) {
    for (const auto& [key, entry] : tenant.entries) entries.push_back(save(name, key, entry));
  }
  return {{"epoch_start", epoch_start_.count()}, {"entries", std::move(entries)}};
}

void Book::begin_epoch(Seconds now) {
  epoch_start_ = now;
  ++losses_;
  is_changed_ = true;
}

std::uint32_t Book::epoch(Seconds now) const {
  // It may have begun after what is answered had come.
  return static_cast<std::uint32_t>(std::max<std::int64_t>((now - epoch_start_).count(), 0));
}

// --- kept sessions, again

void Book::schedule(const std::string& tenant, const Key& key, Seconds when) {
  tenants_[tenant].entries.at(key).repeat_at = when;
  to_repeat_.emplace(when, tenant, key);
}

void Book::repeat(Seconds now) {
  for (std::size_t i = 0; i < repeats_a_second && !to_repeat_.empty(); ++i) {
    const auto [due, tenant, key] = *to_repeat_.begin();
    if (due > now) return;
    to_repeat_.erase(to_repeat_.begin());
    const auto& entries = tenants_[tenant].entries;
    const auto found = entries.find(key);
    // It may be given up, or have been asked for meanwhile.
    if (found != entries.end() && found->second.repeat_at == due) keep_again(tenant, key, now);
  }
}

void Book::keep_again(const std::string& tenant, const Key& key, Seconds now) {
  auto& entries = tenants_[tenant].entries;
  if (entries.at(key).until <= now) {
    entries.erase(key);
    is_changed_ = true;
    return;
  }
  const bool is_asked = ask(tenant, key, keep_request(tenant, key), [=, this](const Json* answer) {
    const auto same = tenants_[tenant].entries.find(key);
    if (answer == nullptr || !is_ok(*answer) || same == tenants_[tenant].entries.end()) return;
    const auto external = parse_endpoint(text_in(*answer, "external"));
    if (!external || *external == same->second.external) return;
    // It was lost meanwhile, and the remote knows the old one.
    same->second.external = *external;
    begin_epoch(now);
  });
  schedule(tenant, key, now + (is_asked ? repeat_after_ : Seconds(1)));
}

// --- the daemon

void Book::synchronise(Seconds now) {
  if (std::exchange(is_asking_, true)) return;
  const bool is_asked = control_.ask(
      {{"command", "forward-list"}, {"owner", owner}}, [this, now](const Json* answer) {
        is_asking_ = false;
        if (answer == nullptr) return;
        const auto forwards = answer->find("lines");
        if (!is_ok(*answer) || forwards == answer->end() || !forwards->is_array()) {
          return complain("to list its forwards", *answer);
        }
        compare(*forwards, now);
      });
  if (!is_asked) is_asking_ = false;
}

// What the daemon has is so. What it has not, though it should, was lost.
void Book::compare(const Json& forwards, Seconds now) {
  std::map<std::string, std::map<Key, Entry>> found;
  for (const Json& each : forwards) {
    const auto external =
        each.is_object() ? parse_endpoint(text_in(each, "external")) : std::nullopt;
    if (!external || !parse_endpoint(text_in(each, "to"))) continue;
    const Key key{protocol_in(each), text_in(each, "to"), ""};
    found[text_in(each, "namespace")][key] = {text_in(each, "note"), *external,
                                              now + seconds_in(each, "lifetime_left")};
  }
  std::size_t lost = 0;
  for (auto& [name, tenant] : tenants_) {
    const auto& own = found[name];
    lost += static_cast<std::size_t>(std::erase_if(tenant.entries, [&](const auto& each) {
      const auto& [key, entry] = each;
      if (!key.remote.empty()) return false;
      const auto same = own.find(key);
      return entry.until > now + about_to_end &&
             (same == own.end() || same->second.external != entry.external);
    }));
    std::erase_if(tenant.entries, [](const auto& each) { return each.first.remote.empty(); });
  }
  std::size_t count = 0;
  for (auto& [name, entries] : found) {
    count += entries.size();
    for (auto& [key, entry] : entries) tenants_[name].entries[key] = std::move(entry);
  }
  is_changed_ = true;
  if (lost != 0) begin_epoch(now);
  if (!std::exchange(is_synchronised_, true)) {
    log(Priority::info, "the daemon has {} port{} on request; {} lost", count,
        count == 1 ? "" : "s", lost);
  }
}

void Book::look_at_daemon(Seconds now) {
  if (std::exchange(is_asking_, true)) return;
  const bool is_asked = control_.ask({{"command", "status"}}, [this, now](const Json* answer) {
    is_asking_ = false;
    if (answer == nullptr) return;
    const std::int64_t seen = seconds_in(*answer, "pid").count();
    if (!is_synchronised_ || !daemon_ || *daemon_ != seen) {
      is_synchronised_ = false;
      daemon_ = seen;
      synchronise(now);
    }
  });
  if (!is_asked) is_asking_ = false;
}

void Book::tick(Seconds now) {
  if (is_synchronised_) repeat(now);
  if (is_synchronised_ && now < next_look_) return;
  next_look_ = now + look_pause;
  look_at_daemon(now);
}

}  // namespace swnat::pcp
