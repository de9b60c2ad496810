// The control protocol's requests, which anybody who reaches the socket sends: any bytes are a
// request or are refused, with one line that is JSON, and the sessions that they mean are possible.
#include <algorithm>
#include <string>
#include <string_view>

#include "nfq/control_client.h"
#include "nfq/control_lines.h"
#include "nfq/control_request.h"
#include "nfq/error.h"
#include "nfq/rule_request.h"
#include "nfq/session_request.h"
#include "swnat/session_view.h"
#include "tests/fuzz/target.h"

namespace swnat::fuzz {
namespace {

rules::NamespaceConfig named(const char* name, std::uint32_t first, std::uint32_t last) {
  rules::NamespaceConfig config;
  config.name = name;
  config.policy.first = first;
  config.policy.last = last;
  return config;
}

const rules::Config& config() {
  static const rules::Config all = [] {
    rules::Config config;
    config.namespaces = {named("blue", 1, 1), named("vpn", 1000, 1009), named("guest", 1004, 1004)};
    config.external_addresses = {Ipv4Address::of(203, 0, 113, 1)};
    config.singles_by_fwmark = {0, 2};
    config.ranges_by_fwmark = {1};
    return config;
  }();
  return all;
}

void check_ports(const EndpointPattern& pattern) {
  require(pattern.ports.first <= pattern.ports.last, "ports are in their order");
}

void check(const SessionPattern& pattern) {
  for (const NamespaceRange& range : pattern.namespaces) {
    require(range.first <= range.last, "namespaces are in their order");
    require(!rules::namespace_name(config(), range.first).empty(), "there is such a namespace");
  }
  check_ports(pattern.internal);
  check_ports(pattern.external);
  check_ports(pattern.remote);
  require(pattern.state.empty() || is_session_state(pattern.state), "sessions have such a state");
}

void check_line(const std::string& line) {
  require(line.ends_with('\n') && line.find('\n') == line.size() - 1, "a refusal is one line");
  // Each byte of a request may become an escape sequence, and again in a message.
  require(line.size() < 64'000, "a refusal is bounded");
  const auto json = nlohmann::ordered_json::parse(line, nullptr, false);
  require(json.is_object() && json.at("error").is_string(), "a refusal is JSON");
}

void check(const nfq::Terms& terms) {
  require(!terms.owner.empty() && terms.owner.size() <= 32, "an owner has a name");
  require(terms.note.size() <= 128, "a note is bounded");
  require(!terms.ends || *terms.ends > Time{0}, "a lifetime ends later");
}

template <class Read>
void try_rule(Read read) {
  try {
    read();
  } catch (const nfq::Error& wrong) {
    check_line(nfq::line({{"ok", false}, {"error", wrong.what()}}));
  }
}

// As the commands read them that add, remove and list rules.
void try_rules(const nfq::Json& request) {
  try_rule([&] {
    const nfq::ForwardRequest read = nfq::requested_forward(request, config(), Time{0});
    check(read.wanted.terms);
    require(read.wanted.forward.rule.external.port != 0, "a forward has a port");
  });
  try_rule([&] {
    const nfq::AddedDrop read = nfq::requested_drop(request, config(), Time{0});
    check(read.terms);
    require(!read.drop.pieces.empty(), "a drop means a namespace");
  });
  try_rule([&] { nfq::chosen_forwards(request); });
  try_rule([&] { nfq::requested_rules(request, config()); });
}

void try_request(std::string_view line) {
  try {
    const nfq::ControlRequest request = nfq::parse_control_request(line);
    require(request.json.at("command") == request.command, "the command is the one that was sent");
    try_rules(request.json);
    check(nfq::requested_sessions(request.json, config()));
  } catch (const nfq::Error& wrong) {
    check_line(nfq::line({{"ok", false}, {"error", wrong.what()}}));
  }
}

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string line(data, data + std::min(size, swnat::nfq::ControlClient::max_request));
  swnat::fuzz::try_request(std::string_view(line).substr(0, line.find('\n')));
  return 0;
}
