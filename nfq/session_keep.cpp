#include "nfq/session_keep.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "nfq/clock.h"
#include "nfq/control_lines.h"
#include "nfq/daemon.h"
#include "nfq/error.h"
#include "nfq/namespace_request.h"
#include "nfq/protocol_name.h"
#include "rules/config/networks.h"
#include "swnat/address_text.h"
#include "swnat/protocol.h"

namespace swnat::nfq {
namespace {

std::string needed_text(const Json& request, const char* key) {
  const auto found = request.find(key);
  if (found == request.end() || !found->is_string()) {
    throw Error(fmt::format("'{}' is missing, or no text", key));
  }
  return found->get<std::string>();
}

IpEndpoint needed_endpoint(const Json& request, const char* key) {
  const std::string text = needed_text(request, key);
  const auto endpoint = parse_endpoint(text);
  if (!endpoint) {
    throw Error(
        fmt::format("'{}' is no endpoint (allowed: as in 10.0.0.2:5000 or [fd00::2]:5000)", text));
  }
  return *endpoint;
}

SessionName read_name(const Json& request, const rules::Config& config) {
  SessionName name;
  name.namespace_id = one_namespace(needed_text(request, "namespace"), config);
  const std::string protocol = needed_text(request, "protocol");
  name.protocol = protocol_number(protocol).value_or(0);
  if (name.protocol != protocol::tcp && name.protocol != protocol::udp) {
    throw Error(fmt::format("'{}' is no protocol of such sessions (allowed: tcp, udp)", protocol));
  }
  name.internal = needed_endpoint(request, "internal");
  name.remote = needed_endpoint(request, "remote");
  if (name.internal.address.index() != name.remote.address.index()) {
    throw Error("'internal' and 'remote' must be of one family");
  }
  return name;
}

// What the kernel's rules would not let come to the NAT.
void require_way_out(const SessionName& name, const rules::Config& config) {
  const std::vector<IpNetwork> networks =
      rules::find_namespace(config, name.namespace_id)->networks();
  if (!networks.empty() && !rules::any_contains(networks, name.internal.address)) {
    throw Error(fmt::format("{} is no address of the namespace", to_text(name.internal.address)));
  }
  if (rules::any_contains(networks, name.remote.address)) {
    throw Error(fmt::format("{} is in the namespace itself", to_text(name.remote.address)));
  }
  if (std::ranges::count(config.external_addresses, name.remote.address) != 0) {
    throw Error(fmt::format("{} is an external address of the NAT, whose sessions packets make",
                            to_text(name.remote.address)));
  }
}

}  // namespace

SessionName requested_session(const Json& request, const rules::Config& config) {
  const SessionName name = read_name(request, config);
  require_way_out(name, config);
  return name;
}

ControlAnswer keep_session(Daemon& daemon, const Json& request) {
  const SessionName name = requested_session(request, *daemon.config());
  const Engine::Kept kept = daemon.engine().keep_session(name, now());
  if (!kept.has_session()) {
    const ReasonInfo& why = info(kept.reason);
    return {line({{"ok", false}, {"error", why.text}, {"reason", why.name}})};
  }
  return {line({{"ok", true}, {"external", to_text(kept.external)}})};
}

}  // namespace swnat::nfq
