#include "rules/kernel/record_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "rules/text/printable.h"

namespace swnat::rules {
namespace {

using Json = nlohmann::json;

constexpr int version = 4;

int to_json(Family family) {
  return family == Family::ipv4 ? 4 : 6;
}

Family family_in(const Json& json) {
  return json.at("family") == 6 ? Family::ipv6 : Family::ipv4;
}

Json to_json(const std::vector<IpNetwork>& networks) {
  Json json = Json::array();
  for (const IpNetwork& each : networks) json.push_back(to_text(each));
  return json;
}

std::vector<IpNetwork> networks_from_json(const Json& json) {
  std::vector<IpNetwork> all;
  for (const Json& text : json) {
    if (const auto network = parse_network(text.get<std::string>())) all.push_back(*network);
  }
  return all;
}

Json to_json(const MemberRange& range) {
  Json fwmarks = Json::array();
  for (const NamespaceRange& each : range.fwmarks) fwmarks.push_back({each.first, each.last});
  return {{"name", range.name},
          {"patterns", range.patterns},
          {"fwmarks", fwmarks},
          {"subnets", to_json(range.subnets)},
          {"ipv4", range.has_ipv4}};
}

MemberRange member_range_from_json(const Json& json) {
  MemberRange range{json.at("name"),
                    json.at("patterns"),
                    {},
                    networks_from_json(json.at("subnets")),
                    json.at("ipv4")};
  for (const Json& each : json.at("fwmarks")) range.fwmarks.push_back({each.at(0), each.at(1)});
  return range;
}

Json layout_to_json(const Layout& layout) {
  Json json = {{"nft", layout.nft},
               {"iptables", Json::array()},
               {"rules", Json::array()},
               {"routes", Json::array()},
               {"members", Json::array()}};
  for (const MemberRange& each : layout.members) json["members"].push_back(to_json(each));
  for (const IptablesTable& table : layout.iptables) {
    Json chains = Json::array();
    for (const IptablesChain& chain : table.chains) {
      chains.push_back({{"name", chain.name}, {"rules", chain.rules}});
    }
    json["iptables"].push_back(
        {{"family", to_json(table.family)}, {"name", table.name}, {"chains", chains}});
  }
  for (const IpRule& rule : layout.routing.rules) {
    json["rules"].push_back(
        {{"family", to_json(rule.family)}, {"priority", rule.priority}, {"what", rule.what}});
  }
  for (const FwmarkRoute& route : layout.routing.routes) {
    json["routes"].push_back({{"family", to_json(route.family)},
                              {"table", route.table},
                              {"to", route.to},
                              {"via", route.via},
                              {"interface", route.interface}});
  }
  return json;
}

Layout layout_from_json(const Json& json) {
  Layout layout;
  layout.nft = json.at("nft");
  for (const Json& each : json.at("members"))
    layout.members.push_back(member_range_from_json(each));
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

Json to_json(const std::vector<RemovedTenant>& tenants) {
  Json json = Json::array();
  for (const RemovedTenant& each : tenants) {
    json.push_back({{"interfaces", each.interfaces}, {"sources", to_json(each.sources)}});
  }
  return json;
}

std::vector<RemovedTenant> tenants_from_json(const Json& json) {
  std::vector<RemovedTenant> all;
  for (const Json& each : json) {
    all.push_back({each.at("interfaces"), networks_from_json(each.at("sources"))});
  }
  return all;
}

Json stock_to_json(const Stock& stock) {
  Json json = {{"nft", stock.rules.nft},           {"iptables", stock.rules.iptables},
               {"sysctls", Json::array()},         {"configuration", stock.configuration},
               {"first_queue", stock.first_queue}, {"workers", stock.workers}};
  for (const Sysctl& each : stock.sysctls) json["sysctls"].push_back({each.name, each.value});
  return json;
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
  Json sysctls = Json::object();
  for (const auto& [name, change] : record.sysctls.changes) {
    sysctls[name] = {{"original", change.original}, {"written", change.written}};
  }
  const Json json = {
      {"version", version},
      {"boot_id", origin.boot_id},
      {"namespace_cookie", origin.namespace_cookie},
      {"sysctls", sysctls},
      {"forwarding", record.sysctls.forwarding},
      {"made_chains", record.made_chains},
      {"made_folders", record.made_folders},
      {"tenants", to_json(record.tenants)},
      {"removed", to_json(record.removed)},
      {"layout", record.layout ? layout_to_json(*record.layout) : Json(nullptr)},
      {"stock", record.stock ? stock_to_json(*record.stock) : Json(nullptr)},
  };
  // A listing of rules may have comments that are no UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
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
