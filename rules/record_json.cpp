#include "rules/record_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "rules/json_text.h"
#include "rules/printable.h"

namespace swnat::rules {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t version = 3;

std::uint64_t number_of(Family family) {
  return family == Family::ipv4 ? 4 : 6;
}

Family family_in(const Json& json) {
  return json.at("family") == 6 ? Family::ipv6 : Family::ipv4;
}

void add(const IptablesTable& table, JsonText& json) {
  json.begin_object();
  json.key("chains");
  json.begin_array();
  for (const IptablesChain& chain : table.chains) {
    json.begin_object();
    json.add("name", chain.name);
    json.add("rules", chain.rules);
    json.end_object();
  }
  json.end_array();
  json.add("family", number_of(table.family));
  json.add("name", table.name);
  json.end_object();
}

void add(const IpRule& rule, JsonText& json) {
  json.begin_object();
  json.add("family", number_of(rule.family));
  json.add("priority", std::uint64_t{rule.priority});
  json.add("what", rule.what);
  json.end_object();
}

void add(const FwmarkRoute& route, JsonText& json) {
  json.begin_object();
  json.add("family", number_of(route.family));
  json.add("interface", route.interface);
  json.add("table", std::uint64_t{route.table});
  json.add("to", route.to);
  json.add("via", route.via);
  json.end_object();
}

void add(const RemovedTenant& tenant, JsonText& json) {
  json.begin_object();
  json.add("interfaces", tenant.interfaces);
  json.key("sources");
  json.begin_array();
  for (const IpNetwork& network : tenant.sources) json.add(to_text(network));
  json.end_array();
  json.end_object();
}

void add(const Sysctl& sysctl, JsonText& json) {
  json.begin_array();
  json.add(sysctl.name);
  json.add(sysctl.value);
  json.end_array();
}

template <class Value>
void add_all(std::string_view name, const std::vector<Value>& values, JsonText& json) {
  json.key(name);
  json.begin_array();
  for (const Value& each : values) add(each, json);
  json.end_array();
}

void add(const Layout& layout, JsonText& json) {
  json.begin_object();
  add_all("iptables", layout.iptables, json);
  json.add("nft", layout.nft);
  add_all("routes", layout.routing.routes, json);
  add_all("rules", layout.routing.rules, json);
  json.end_object();
}

void add(const Stock& stock, JsonText& json) {
  json.begin_object();
  json.add("configuration", stock.configuration);
  json.add("first_queue", std::uint64_t{stock.first_queue});
  json.add("iptables", stock.rules.iptables);
  json.add("nft", stock.rules.nft);
  add_all("sysctls", stock.sysctls, json);
  json.add("workers", std::uint64_t{stock.workers});
  json.end_object();
}

void add(const std::map<std::string, SysctlChange>& changes, JsonText& json) {
  json.begin_object();
  for (const auto& [name, change] : changes) {
    json.key(name);
    json.begin_object();
    json.add("original", change.original);
    json.add("written", change.written);
    json.end_object();
  }
  json.end_object();
}

template <class Value>
void add_optional(std::string_view name, const std::optional<Value>& value, JsonText& json) {
  json.key(name);
  if (value) {
    add(*value, json);
  } else {
    json.add_null();
  }
}

Layout layout_from_json(const Json& json) {
  Layout layout;
  layout.nft = json.at("nft");
  for (const Json& table : json.at("iptables")) {
    IptablesTable found{family_in(table), table.at("name"), {}};
    for (const Json& chain : table.at("chains")) {
      found.chains.push_back({chain.at("name"), chain.at("rules")});
    }
    layout.iptables.push_back(std::move(found));
  }
  for (const Json& rule : json.at("rules")) {
    layout.routing.rules.push_back({family_in(rule), rule.at("priority"), rule.at("what")});
  }
  for (const Json& route : json.at("routes")) {
    layout.routing.routes.push_back({family_in(route), route.at("table"), route.at("to"),
                                     route.at("via"), route.at("interface")});
  }
  return layout;
}

std::vector<RemovedTenant> tenants_from_json(const Json& json) {
  std::vector<RemovedTenant> all;
  for (const Json& each : json) {
    RemovedTenant tenant{each.at("interfaces"), {}};
    for (const Json& text : each.at("sources")) {
      const auto network = parse_network(text.get<std::string>());
      if (network) tenant.sources.push_back(*network);
    }
    all.push_back(std::move(tenant));
  }
  return all;
}

Stock stock_from_json(const Json& json) {
  Stock stock;
  stock.rules.nft = json.at("nft").get<Listing>();
  stock.rules.iptables = json.at("iptables").get<Listing>();
  for (const Json& each : json.at("sysctls")) stock.sysctls.push_back({each.at(0), each.at(1)});
  stock.configuration = json.at("configuration");
  stock.first_queue = json.at("first_queue");
  stock.workers = json.at("workers");
  return stock;
}

}  // namespace

std::string to_json(const Record& record, const RecordOrigin& origin) {
  JsonText json;
  json.begin_object();
  json.add("boot_id", origin.boot_id);
  json.add("forwarding", record.sysctls.forwarding);
  add_optional("layout", record.layout, json);
  json.add("made_chains", record.made_chains);
  json.add("made_folders", record.made_folders);
  json.add("namespace_cookie", origin.namespace_cookie);
  add_all("removed", record.removed, json);
  add_optional("stock", record.stock, json);
  json.key("sysctls");
  add(record.sysctls.changes, json);
  add_all("tenants", record.tenants, json);
  json.add("version", version);
  json.end_object();
  return json.take() + "\n";
}

std::optional<Record> record_from_json(const std::string& text, const RecordOrigin& origin) {
  try {
    const Json json = Json::parse(text);
    if (json.at("boot_id").get<std::string>() != origin.boot_id ||
        json.at("namespace_cookie").get<std::uint64_t>() != origin.namespace_cookie) {
      return std::nullopt;
    }
    if (json.at("version") != version) throw RecordDamage("another version of swnat wrote it");
    Record record;
    for (const auto& [name, change] : json.at("sysctls").items()) {
      record.sysctls.changes[name] = {change.at("original"),
                                      change.at("written").get<std::vector<std::string>>()};
    }
    record.sysctls.forwarding = json.at("forwarding").get<std::map<std::string, std::string>>();
    record.made_chains = json.at("made_chains").get<std::vector<std::string>>();
    record.made_folders = json.at("made_folders").get<std::vector<std::string>>();
    record.tenants = tenants_from_json(json.at("tenants"));
    record.removed = tenants_from_json(json.at("removed"));
    if (!json.at("layout").is_null()) record.layout = layout_from_json(json.at("layout"));
    if (!json.at("stock").is_null()) record.stock = stock_from_json(json.at("stock"));
    return record;
  } catch (const Json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 1: …"
    const std::string_view what = error.what();
    throw RecordDamage(printable(what.substr(std::min(what.size(), what.find("] ") + 2))));
  }
}

}  // namespace swnat::rules
