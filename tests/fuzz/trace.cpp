#include "tests/fuzz/trace.h"

#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/anatomy.h"

namespace swnat::fuzz {
namespace {

std::string text_of(const IpEndpoint& end) {
  std::string text;
  char piece[16];
  if (const auto* v4 = std::get_if<Ipv4Address>(&end.address)) {
    for (int shift = 24; shift >= 0; shift -= 8) {
      std::snprintf(piece, sizeof piece, shift == 0 ? "%u" : "%u.", v4->host() >> shift & 255);
      text += piece;
    }
  } else {
    text = "[";
    const auto octets = std::get<Ipv6Address>(end.address).octets();
    for (std::size_t i = 0; i < octets.size(); i += 2) {
      std::snprintf(piece, sizeof piece, i == 0 ? "%x" : ":%x", octets[i] << 8 | octets[i + 1]);
      text += piece;
    }
    text += "]";
  }
  return text + ":" + std::to_string(end.port);
}

std::string text_of(View bytes) {
  std::string text;
  const auto anatomy = read(bytes);
  if (anatomy) {
    const bool has_transport = !anatomy->is_later() && anatomy->transport_size >= 8;
    const Ends ends = has_transport ? ends_of(bytes, *anatomy)
                                    : Ends{{anatomy->source, 0}, {anatomy->destination, 0}};
    text += "protocol " + std::to_string(anatomy->protocol) + " " + text_of(ends.source) + " -> " +
            text_of(ends.destination);
    if (anatomy->is_fragment()) {
      text += " fragment " + std::to_string(anatomy->fragment_offset) + (anatomy->more ? "+" : "") +
              " id " + std::to_string(anatomy->identification_is);
    }
  }
  text += " ";
  for (const std::uint8_t byte : bytes) {
    char piece[4];
    std::snprintf(piece, sizeof piece, "%02x", byte);
    text += piece;
  }
  return text;
}

}  // namespace

bool is_traced() {
  static const bool wanted = std::getenv("SWNAT_FUZZ_TRACE") != nullptr;
  return wanted;
}

void trace(const std::string& text) {
  if (is_traced()) std::fprintf(stderr, "%s\n", text.c_str());
}

void trace(const Given& given) {
  if (!is_traced()) return;
  constexpr const char* directions[] = {"outbound", "inbound", "hairpin"};
  constexpr const char* checksums[] = {"", " partial", " segmented"};
  trace(std::string(directions[static_cast<int>(given.direction)]) + " of " +
        std::to_string(given.namespace_id) + checksums[static_cast<int>(given.checksum)] + ": " +
        text_of(given.bytes));
}

void trace(const Packet& packet) {
  if (!is_traced()) return;
  trace("  " + std::string(info(packet.reason).name) + " to " +
        std::to_string(packet.namespace_id) + ": " + text_of(View(packet.bytes)));
}

void trace(const Listing& listing) {
  if (!is_traced()) return;
  for (const SessionView& session : listing) {
    trace("    session of " + std::to_string(session.namespace_id) + " protocol " +
          std::to_string(session.protocol) + " " + text_of(session.internal) + " as " +
          text_of(session.external) + " with " + text_of(session.remote) + " " +
          std::string(session.state) + " idle " + std::to_string(session.idle.count()));
  }
}

void trace(const Policy& policy) {
  if (!is_traced()) return;
  std::string text = "policy: mapping " + std::to_string(static_cast<int>(policy.mapping)) +
                     " filtering " + std::to_string(static_cast<int>(policy.filtering)) +
                     " at limit " + std::to_string(static_cast<int>(policy.at_limit)) +
                     (policy.hairpin ? " hairpin" : "") + " drops " +
                     std::to_string(policy.drops.size()) + " redirects " +
                     std::to_string(policy.redirects.size()) + " limits";
  for (const NamespacePolicy& one : policy.namespaces) {
    text += " " + std::to_string(one.first) + ":" + std::to_string(one.session_limit);
  }
  for (const ForwardRule& rule : policy.forwards) {
    text += " forward " + text_of(rule.external) + " to " + std::to_string(rule.namespace_id) +
            " " + text_of(rule.to);
  }
  trace(text);
}

}  // namespace swnat::fuzz
