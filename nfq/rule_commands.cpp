#include "nfq/rule_commands.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nfq/added_rules_json.h"
#include "nfq/clock.h"
#include "nfq/error.h"
#include "nfq/protocol_name.h"
#include "nfq/rule_request.h"

namespace swnat::nfq {
namespace {

constexpr std::size_t rules_per_piece = 256;

std::string name_of(std::uint8_t protocol, const IpEndpoint& external) {
  return fmt::format("{} {}", protocol_name(protocol), to_text(external));
}

// Why no added forward can have that very external endpoint; empty if one can.
std::string external_fault(const Daemon& daemon, std::uint8_t protocol,
                           const IpEndpoint& external) {
  const auto config = daemon.config();
  const std::string name = name_of(protocol, external);
  const AddedForward* other = daemon.policy_in_force().added().find(protocol, external);
  if (other != nullptr) return fmt::format("{} is taken: {}", name, title(*other));
  if (has_forward(*config, protocol, external)) {
    return fmt::format("{} is taken: the file has a [[forward]] for it", name);
  }
  if (!config->policy.ports.contains(external.port)) {
    return fmt::format(
        "{}: the port is not among external.ports, {}, which the kernel's rules queue (allowed: "
        "one "
        "of these; for another one a [[forward]] of the file and swnat-nfq up)",
        name, text_of(config->policy.ports));
  }
  if (daemon.own_sockets().have(protocol, external.port)) {
    return fmt::format("{}: a socket of the gateway has the port", name);
  }
  return {};
}

// An operator may take a port that sessions have, which then end; who asks for tenants may not, or
// one tenant could take another's. Where a port is shared by sessions of several, nobody knows.
void require_unshared_ports(const rules::Config& config) {
  if (config.policy.mapping == Mapping::endpoint_independent) return;
  throw Error(
      "nat.mapping is not \"endpoint-independent\", so ports are shared, and only the operator "
      "adds "
      "forwards");
}

IpEndpoint choose_external(Daemon& daemon, const ForwardRequest& request) {
  const ForwardRule& rule = request.wanted.forward.rule;
  const bool is_operators = request.wanted.terms.owner == operator_owner;
  if (!is_operators) require_unshared_ports(*daemon.config());
  if (request.is_exact()) {
    const std::string fault = external_fault(daemon, rule.protocol, rule.external);
    if (!fault.empty()) throw Error(fault);
    if (is_operators) return rule.external;
  }
  Engine::ForwardWish wish{.namespace_id = rule.namespace_id,
                           .protocol = rule.protocol,
                           .internal = rule.to,
                           .external = request.address,
                           .like = request.port.value_or(rule.to.port)};
  [[maybe_unused]] const ssize_t size =
      ::getrandom(&wish.random, sizeof wish.random, GRND_NONBLOCK);
  const auto external = daemon.engine().propose_external(wish, now());
  if (!external) {
    throw Error(fmt::format("no {} port of {} is free", protocol_name(rule.protocol),
                            request.address
                                ? to_text(*request.address)
                                : "the external address of " + to_text(rule.to.address)));
  }
  if (request.is_exact() && *external != rule.external) {
    throw Error(fmt::format("{} is taken: a namespace has sessions there, or rests it",
                            name_of(rule.protocol, rule.external)));
  }
  return *external;
}

void require_room(const AddedRules& rules) {
  if (!rules.is_full()) return;
  throw Error(
      fmt::format("there are {} added rules, which are as many as may be (others stand in "
                  "the file); remove one first",
                  AddedRules::most));
}

std::string owners(const std::optional<std::string>& owner) {
  return owner ? fmt::format(" that {} added", *owner) : "";
}

[[noreturn]] void refuse_files() {
  throw Error("that is the file's: edit it and reload");
}

ControlAnswer told_removed(std::size_t count) {
  return {line({{"ok", true}, {"removed", count}})};
}

// A piece of a list at a time.
ControlAnswer list_lines(std::vector<std::string> lines) {
  auto all = std::make_shared<std::vector<std::string>>(std::move(lines));
  return list([all, next = std::size_t{0}](std::string& text) mutable {
    const std::size_t end = std::min(all->size(), next + rules_per_piece);
    for (; next < end; ++next) text += (*all)[next];
    return next < all->size();
  });
}

std::string line_of_file(Json json) {
  json["origin"] = "file";
  return line(json);
}

// What people call these namespaces of a drop; empty: all.
std::string namespaces_text(const rules::Config& config, const NamespaceRange& range) {
  if (range == NamespaceRange{}) return "";
  if (range.first == range.last) return rules::namespace_name(config, range.first);
  for (const rules::NamespaceConfig& one : config.namespaces) {
    if (!one.is_range() || range.first < one.fwmark_first() || range.last > one.fwmark_last()) {
      continue;
    }
    const bool is_whole = range.first == one.fwmark_first() && range.last == one.fwmark_last();
    return is_whole ? one.name : fmt::format("{}-{}-{}", one.name, range.first, range.last);
  }
  return fmt::format("{}-{}", range.first, range.last);
}

bool has_all(const std::vector<DropRule>& all, const std::vector<DropRule>& some) {
  return std::ranges::all_of(
      some, [&](const DropRule& one) { return std::ranges::find(all, one) != all.end(); });
}

}  // namespace

ControlAnswer add_forward(Daemon& daemon, const Json& request) {
  ForwardRequest wanted = requested_forward(request, *daemon.config(), now());
  AddedRules next = daemon.policy_in_force().added();
  IpEndpoint& external = wanted.wanted.forward.rule.external;
  if (const AddedForward* same = next.find_like(wanted.wanted)) {
    const IpEndpoint known = same->forward.rule.external;
    if (wanted.is_exact() && external != known) {
      throw Error(
          fmt::format("{} has that already as {}; remove it first, or leave the external "
                      "port to the daemon",
                      wanted.wanted.terms.owner, to_text(known)));
    }
    external = known;
  } else {
    require_room(next);
    external = choose_external(daemon, wanted);
  }
  const AddedForward added = next.put(std::move(wanted.wanted));
  daemon.policy_in_force().change(std::move(next));
  return {line({{"ok", true}, {"forward", json_of(added, now())}})};
}

ControlAnswer remove_forward(Daemon& daemon, const Json& request) {
  const ForwardChoice choice = chosen_forwards(request);
  AddedRules next = daemon.policy_in_force().added();
  const std::size_t count =
      next.remove_forwards([&](const AddedForward& one) { return choice.means(one); });
  if (count == 0) {
    const auto config = daemon.config();
    const bool is_files = std::ranges::any_of(config->policy.forwards, [&](const auto& rule) {
      return choice.means(rule, rules::namespace_name(*config, rule.namespace_id));
    });
    if (is_files) refuse_files();
    throw Error(fmt::format("there is no such forward{}", owners(choice.owner)));
  }
  daemon.policy_in_force().change(std::move(next));
  return told_removed(count);
}

ControlAnswer list_forwards(Daemon& daemon, const Json& request) {
  const auto config = daemon.config();
  const RuleFilter filter = requested_rules(request, *config);
  const auto is_meant = [&](const ForwardRule& rule) {
    return filter.has(rule.protocol, {rule.namespace_id, rule.namespace_id});
  };
  std::vector<std::string> lines;
  for (const ForwardRule& rule : config->policy.forwards) {
    if (filter.owner || !is_meant(rule)) continue;
    lines.push_back(line_of_file(json_of(rule, rules::namespace_name(*config, rule.namespace_id))));
  }
  for (const AddedForward& one : daemon.policy_in_force().added().forwards()) {
    if (!filter.has_owner(one.terms.owner) || !is_meant(one.forward.rule)) continue;
    lines.push_back(line(json_of(one, now())));
  }
  return list_lines(std::move(lines));
}

ControlAnswer add_drop(Daemon& daemon, const Json& request) {
  AddedDrop wanted = requested_drop(request, *daemon.config(), now());
  AddedRules next = daemon.policy_in_force().added();
  if (next.find_like(wanted) == nullptr) require_room(next);
  const AddedDrop added = next.put(std::move(wanted));
  daemon.policy_in_force().change(std::move(next));
  return {line({{"ok", true}, {"drop", json_of(added, now())}})};
}

ControlAnswer remove_drop(Daemon& daemon, const Json& request) {
  AddedRules next = daemon.policy_in_force().added();
  const auto owner = requested_owner(request);
  const auto is_owners = [&](const AddedDrop& one) { return !owner || *owner == one.terms.owner; };
  std::size_t count = 0;
  if (const auto number = request.find("number"); number != request.end()) {
    if (!number->is_number_unsigned()) throw Error("'number' must be one that drop-list shows");
    count = next.remove_drops(
        [&](const AddedDrop& one) { return one.number == *number && is_owners(one); });
  } else {
    const AddedDrop wanted = requested_drop(request, *daemon.config(), now());
    count = next.remove_drops(
        [&](const AddedDrop& one) { return one.drops_what(wanted) && is_owners(one); });
    if (count == 0 && has_all(daemon.config()->policy.drops, wanted.drop.pieces)) refuse_files();
  }
  if (count == 0) throw Error(fmt::format("there is no such drop{}", owners(owner)));
  daemon.policy_in_force().change(std::move(next));
  return told_removed(count);
}

ControlAnswer list_drops(Daemon& daemon, const Json& request) {
  const auto config = daemon.config();
  const RuleFilter filter = requested_rules(request, *config);
  std::vector<std::string> lines;
  for (const DropRule& rule : config->policy.drops) {
    if (filter.owner || !filter.has(rule.protocol, rule.namespaces)) continue;
    lines.push_back(line_of_file(json_of(rule, namespaces_text(*config, rule.namespaces))));
  }
  for (const AddedDrop& one : daemon.policy_in_force().added().drops()) {
    const bool is_meant = std::ranges::any_of(one.drop.pieces, [&](const DropRule& rule) {
      return filter.has(rule.protocol, rule.namespaces);
    });
    if (filter.has_owner(one.terms.owner) && is_meant) lines.push_back(line(json_of(one, now())));
  }
  return list_lines(std::move(lines));
}

}  // namespace swnat::nfq
