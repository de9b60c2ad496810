// Steps and configurations as C++.
#include <sstream>

#include "tests/property/step.h"

namespace swnat::property {
namespace {

std::string text(What what) {
  switch (what) {
    case What::travel:
      return "travel";
    case What::sweep:
      return "sweep";
    case What::configure:
      return "configure";
    case What::out:
      return "out";
    case What::in:
      return "in";
    case What::error_in:
      return "error_in";
    case What::error_out:
      return "error_out";
    case What::flush:
      return "flush";
  }
  return {};
}

std::string text(Sum sum) {
  switch (sum) {
    case Sum::right:
      return "right";
    case Sum::damaged:
      return "damaged";
    case Sum::absent:
      return "absent";
    case Sum::partial:
      return "partial";
    case Sum::segmented:
      return "segmented";
    case Sum::header_damaged:
      return "header_damaged";
  }
  return {};
}

std::string text(Arrival arrival) {
  switch (arrival) {
    case Arrival::in_order:
      return "in_order";
    case Arrival::last_first:
      return "last_first";
    case Arrival::first_twice:
      return "first_twice";
  }
  return {};
}

std::string text(Filtering filtering) {
  switch (filtering) {
    case Filtering::endpoint_independent:
      return "endpoint_independent";
    case Filtering::address_dependent:
      return "address_dependent";
    case Filtering::address_and_port_dependent:
      return "address_and_port_dependent";
  }
  return {};
}

// {.name = value, …} with what differs from the default.
class Fields {
 public:
  template <class Value>
  void add(const char* name, const Value& value, const Value& otherwise) {
    if (value != otherwise) add_text(name, std::to_string(value));
  }
  void add_text(const char* name, const std::string& value) {
    text_ += (text_.empty() ? "." : ", .") + std::string(name) + " = " + value;
  }
  std::string text() const { return "{" + text_ + "}"; }

 private:
  std::string text_;
};

std::string text(const Internal& internal) {
  const Internal plain;
  Fields fields;
  fields.add("tenant", internal.tenant, plain.tenant);
  fields.add("host", internal.host, plain.host);
  fields.add("port", internal.port, plain.port);
  return fields.text();
}

std::string text(const TcpFields& tcp) {
  const TcpFields plain;
  Fields fields;
  fields.add("flags", tcp.flags, plain.flags);
  fields.add("sequence", tcp.sequence, plain.sequence);
  fields.add("acknowledgment", tcp.acknowledgment, plain.acknowledgment);
  fields.add("window", tcp.window, plain.window);
  fields.add("scale", tcp.scale, plain.scale);
  fields.add("reserved", tcp.reserved, plain.reserved);
  return fields.text();
}

std::string text(const Look& look) {
  const Look plain;
  Fields fields;
  fields.add("ttl", look.ttl, plain.ttl);
  fields.add("option_words", look.option_words, plain.option_words);
  if (look.may_be_cut) fields.add_text("may_be_cut", "true");
  fields.add("payload", look.payload, plain.payload);
  fields.add("trailing", look.trailing, plain.trailing);
  if (look.sum != plain.sum) fields.add_text("sum", "Sum::" + text(look.sum));
  return fields.text();
}

std::string text(const Step& step) {
  const Step plain;
  Fields fields;
  fields.add_text("what", "What::" + text(step.what));
  if (step.time != plain.time) {
    fields.add_text("time", "Time{" + std::to_string(step.time.count()) + "}");
  }
  fields.add("policy", step.policy, plain.policy);
  if (step.v6) fields.add_text("v6", "true");
  fields.add("protocol", step.protocol, plain.protocol);
  if (step.from != plain.from) fields.add_text("from", text(step.from));
  fields.add("remote", step.remote, plain.remote);
  fields.add("remote_port", step.remote_port, plain.remote_port);
  if (step.peer != plain.peer) fields.add_text("peer", text(step.peer));
  fields.add("guess", step.guess, plain.guess);
  fields.add("external", step.external, plain.external);
  if (step.early) fields.add_text("early", "true");
  if (step.raw) fields.add_text("raw", "true");
  if (step.tcp != plain.tcp) fields.add_text("tcp", text(step.tcp));
  if (step.look != plain.look) fields.add_text("look", text(step.look));
  fields.add("pieces", step.pieces, plain.pieces);
  if (step.arrival != plain.arrival) {
    fields.add_text("arrival", "Arrival::" + text(step.arrival));
  }
  fields.add("error", step.error, plain.error);
  fields.add("quoted", step.quoted, plain.quoted);
  if (step.by_host) fields.add_text("by_host", "true");
  fields.add("parts", step.parts, plain.parts);
  return fields.text();
}

std::string code(const IpAddress& address) {
  std::ostringstream out;
  const char* separator = "";
  if (const auto* v4 = std::get_if<Ipv4Address>(&address)) {
    out << "Ipv4Address::of(";
    for (const int shift : {24, 16, 8, 0}) {
      out << separator << (v4->host() >> shift & 255);
      separator = ", ";
    }
    out << ")";
    return out.str();
  }
  out << "Ipv6Address::of({";
  for (const std::uint8_t octet : std::get<Ipv6Address>(address).octets()) {
    out << separator << int{octet};
    separator = ", ";
  }
  out << "})";
  return out.str();
}

std::string code(const IpEndpoint& endpoint) {
  return "{" + code(endpoint.address) + ", " + std::to_string(endpoint.port) + "}";
}

std::string code(const IpNetwork& network) {
  const bool v6 = std::holds_alternative<Network<Ipv6Address>>(network);
  const auto text = [](const auto& one) {
    return code(IpAddress{one.address}) + ", " + std::to_string(one.length) + "}";
  };
  return (v6 ? "Network<Ipv6Address>{" : "Network<Ipv4Address>{") + std::visit(text, network);
}

std::string code(const NamespacePolicy& own);
std::string code(const DropRule& rule);
std::string code(const RedirectRule& rule);
std::string code(const ForwardRule& rule);

template <class List>
std::string list(const List& all) {
  std::string text;
  for (const auto& one : all) text += (text.empty() ? "" : ", ") + code(one);
  return "{" + text + "}";
}

std::string list(const AddressLists& lists) {
  const std::vector<IpAddress> v4(lists.v4.begin(), lists.v4.end());
  const std::vector<IpAddress> v6(lists.v6.begin(), lists.v6.end());
  if (v6.empty()) return "{.v4 = " + list(v4) + "}";
  return "{.v4 = " + list(v4) + ", .v6 = " + list(v6) + "}";
}

std::string code(const NamespacePolicy& own) {
  Fields fields;
  fields.add_text("first", std::to_string(own.first));
  fields.add_text("last", std::to_string(own.last));
  fields.add("session_limit", own.session_limit, NamespacePolicy{}.session_limit);
  fields.add("port_limit", own.port_limit, NamespacePolicy{}.port_limit);
  fields.add("port_block", own.port_block, NamespacePolicy{}.port_block);
  if (!own.external.empty()) fields.add_text("external", list(own.external));
  if (!own.inside.empty()) fields.add_text("inside", list(own.inside));
  if (!own.untranslated.empty()) fields.add_text("untranslated", list(own.untranslated));
  return fields.text();
}

std::string code(const PortRange& range) {
  return "{" + std::to_string(range.first) + ", " + std::to_string(range.last) + "}";
}
std::string code(const PortRanges& ports) {
  std::string all;
  for (const PortRange& range : ports.ranges()) all += (all.empty() ? "" : ", ") + code(range);
  return ports.has_gaps() ? "PortRanges({" + all + "})" : all;
}
std::string code(const NamespaceRange& range) {
  return "{" + std::to_string(range.first) + ", " + std::to_string(range.last) + "}";
}
std::string code(const DropRule& rule) {
  return "{" + std::to_string(rule.protocol) + ", " + code(rule.ports) + ", " +
         code(rule.namespaces) + "}";
}
std::string code(const RedirectRule& rule) {
  return "{" + std::to_string(rule.protocol) + ", " + code(rule.from) + ", " + code(rule.to) +
         ", " + code(rule.namespaces) + "}";
}
std::string code(const ForwardRule& rule) {
  const std::string limit =
      rule.session_limit == 0 ? "" : ", " + std::to_string(rule.session_limit);
  return "{" + std::to_string(rule.protocol) + ", " + code(rule.external) + ", " +
         std::to_string(rule.namespace_id) + ", " + code(rule.to) + limit + "}";
}

// Statements that make a policy of the plain one.
std::string statements(const std::string& name, const Policy& policy) {
  const Policy plain = plain_policy();
  std::string all;
  const auto set = [&](const char* part, const std::string& value) {
    all += "  " + name + "." + part + " = " + value + ";\n";
  };
  const auto set_time = [&](const char* part, Time value, Time otherwise) {
    if (value != otherwise) set(part, "Time{" + std::to_string(value.count()) + "}");
  };
  if (policy.external != plain.external) set("external", list(policy.external));
  if (policy.ports != plain.ports) set("ports", code(policy.ports));
  if (policy.mapping != plain.mapping) set("mapping", "Mapping::address_and_port_dependent");
  if (policy.filtering != plain.filtering) set("filtering", "Filtering::" + text(policy.filtering));
  if (policy.at_limit != plain.at_limit) set("at_limit", "AtLimit::refuse");
  if (!policy.hairpin) set("hairpin", "false");
  set_time("timeouts.tcp_established", policy.timeouts.tcp_established,
           plain.timeouts.tcp_established);
  set_time("timeouts.tcp_transitory", policy.timeouts.tcp_transitory,
           plain.timeouts.tcp_transitory);
  set_time("timeouts.udp", policy.timeouts.udp, plain.timeouts.udp);
  set_time("timeouts.icmp", policy.timeouts.icmp, plain.timeouts.icmp);
  const std::string namespaces = list(policy.namespaces);
  if (namespaces != list(plain.namespaces)) set("namespaces", namespaces);
  if (!policy.drops.empty()) set("drops", list(policy.drops));
  if (!policy.redirects.empty()) set("redirects", list(policy.redirects));
  if (!policy.forwards.empty()) set("forwards", list(policy.forwards));
  return all;
}

}  // namespace

Policy plain_policy() {
  Policy policy;
  policy.external.v4 = {std::get<Ipv4Address>(external_host(false, 0))};
  policy.namespaces = {{.first = 1, .last = 3}};
  return policy;
}

std::string as_test_case(const Setup& setup, const std::vector<Step>& steps) {
  const Setup plain;
  Fields fields;
  fields.add("shards", setup.shards, plain.shards);
  fields.add("max_sessions", setup.max_sessions, plain.max_sessions);
  fields.add("secret", setup.secret, plain.secret);
  if (setup.start != plain.start) {
    fields.add_text("start", "Time{" + std::to_string(setup.start.count()) + "}");
  }
  std::string all = "TEST_CASE(\"regression: what it shows\") {\n";
  all += "  Setup setup" + fields.text() + ";\n";
  all +=
      "  setup.policies.resize(" + std::to_string(setup.policies.size()) + ", plain_policy());\n";
  for (std::size_t i = 0; i < setup.policies.size(); ++i) {
    all += statements("setup.policies[" + std::to_string(i) + "]", setup.policies[i]);
  }
  all += "  const std::vector<Step> steps = {\n";
  for (const Step& step : steps) all += "      " + text(step) + ",\n";
  return all + "  };\n  CHECK_EQ(disagreement(setup, steps), \"\");\n}\n";
}

}  // namespace swnat::property
