// Rules that are added while the daemon runs: what they are, how they are kept, and what of them a
// configuration has a place for.
#include "nfq/added_rules.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "nfq/added_rules_file.h"
#include "nfq/added_rules_json.h"
#include "nfq/error.h"
#include "nfq/rule_request.h"
#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace std::chrono_literals;
using swnat::test::TemporaryFolder;

namespace {

constexpr Time start{1'000'000};
constexpr Ipv4Address external = Ipv4Address::of(203, 0, 113, 1);

rules::NamespaceConfig tenant(const char* name, std::uint32_t first, std::uint32_t last) {
  rules::NamespaceConfig one;
  one.name = name;
  one.subnets = {Network<Ipv4Address>{Ipv4Address::of(10, 0, 0, 0), 24}};
  one.policy.first = first;
  one.policy.last = last;
  return one;
}

rules::Config some_config() {
  rules::Config config;
  config.file = "a.toml";
  config.external_addresses = {external, Ipv4Address::of(203, 0, 113, 2)};
  config.policy.ports = {40000, 49999};
  config.namespaces = {tenant("blue", 1, 1), tenant("vpn", 1000, 1099)};
  config.singles_by_fwmark = {0};
  config.ranges_by_fwmark = {1};
  return config;
}

Json forward_request(std::uint16_t port, const char* name = "blue", const char* owner = "pcp") {
  return {{"command", "forward-add"},
          {"protocol", "tcp"},
          {"external", "203.0.113.1:" + std::to_string(port)},
          {"namespace", name},
          {"to", "10.0.0.2:" + std::to_string(port - 32'000)},
          {"owner", owner}};
}

Json drop_request(const char* name = nullptr) {
  Json json{{"command", "drop-add"}, {"protocol", "udp"}, {"port", "6881-6889"}};
  if (name != nullptr) json["namespace"] = name;
  return json;
}

AddedForward forward_of(const Json& request) {
  return requested_forward(request, some_config(), start).wanted;
}

AddedDrop drop_of(const Json& request) {
  return requested_drop(request, some_config(), start);
}

Json with(Json request, const char* key, Json value) {
  request[key] = std::move(value);
  return request;
}

// Two forwards, of which one ends, and a drop.
AddedRules some_rules() {
  AddedRules all;
  all.put(forward_of(with(forward_request(40080), "note", "a camera")));
  all.put(forward_of(
      with(with(forward_request(40081, "vpn-1003"), "lifetime", 60), "session_limit", 5)));
  all.put(drop_of(drop_request("vpn")));
  all.put(drop_of(with(drop_request(), "protocol", "tcp")));
  return all;
}

template <class Do>
std::string fault_of(Do act) {
  try {
    act();
  } catch (const Error& fault) {
    return fault.what();
  }
  return "";
}

std::string forward_fault(const Json& request) {
  return fault_of([&] { requested_forward(request, some_config(), start); });
}

std::vector<std::string> names_of(const AddedRules& rules) {
  std::vector<std::string> names;
  for (const AddedForward& one : rules.forwards()) names.push_back(one.forward.namespace_name);
  return names;
}

void write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  ::chmod(path.c_str(), 0600);
}

}  // namespace

TEST_CASE("added rules: they follow the policy's own") {
  Policy policy = rules::make_policy(some_config());
  policy.forwards.emplace_back();
  policy.drops.emplace_back();
  some_rules().add_to(policy);
  REQUIRE_EQ(policy.forwards.size(), 3);
  CHECK(policy.forwards[0] == ForwardRule{});
  CHECK(policy.forwards[2] == ForwardRule{.protocol = 6,
                                          .external = {external, 40081},
                                          .namespace_id = 1003,
                                          .to = {Ipv4Address::of(10, 0, 0, 2), 8081},
                                          .session_limit = 5});
  REQUIRE_EQ(policy.drops.size(), 3);
  CHECK(policy.drops[1] ==
        DropRule{.protocol = 17, .ports = {6881, 6889}, .namespaces = {1000, 1099}});
  CHECK(policy.drops[2].namespaces == NamespaceRange{});
}

TEST_CASE("added rules: put again by the same owner, one takes the place of the other") {
  AddedRules all = some_rules();
  AddedForward again = forward_of(with(forward_request(40080), "lifetime", 5));
  all.put(again);
  CHECK_EQ(all.forwards().size(), 2);
  CHECK(all.find_like(again)->terms.ends == start + 5s);
  CHECK_EQ(all.find_like(again)->terms.note, "");
  // Another owner's, another protocol's and another tenant's are others.
  CHECK(all.find_like(forward_of(forward_request(40080, "blue", "operator"))) == nullptr);
  CHECK(all.find_like(forward_of(with(forward_request(40080), "protocol", "udp"))) == nullptr);
  CHECK(all.find_like(forward_of(forward_request(40080, "vpn-1000"))) == nullptr);
  // A drop keeps its number, and none ever has another's.
  CHECK_EQ(all.put(drop_of(with(drop_request("vpn"), "note", "again"))).number, 1);
  CHECK_EQ(all.drops().size(), 2);
  CHECK_EQ(all.remove_drops([](const AddedDrop& one) { return one.number == 2; }), 1);
  CHECK_EQ(all.put(drop_of(drop_request("blue"))).number, 3);
}

TEST_CASE("added rules: what renews a lifetime adds the same; another session limit does not") {
  AddedRules all = some_rules();
  all.put(forward_of(with(forward_request(40080), "lifetime", "1h")));
  CHECK(all.add_the_same(some_rules()));
  CHECK_FALSE(all == some_rules());
  all.put(forward_of(with(forward_request(40080), "session_limit", 9)));
  CHECK_FALSE(all.add_the_same(some_rules()));
  all = some_rules();
  all.remove_drops([](const AddedDrop& one) { return one.number == 1; });
  CHECK_FALSE(all.add_the_same(some_rules()));
}

TEST_CASE("added rules: they end when their time is over, the first of them first") {
  AddedRules all = some_rules();
  all.put(drop_of(with(drop_request("blue"), "lifetime", "1m30s")));
  CHECK(all.next_end() == start + 60s);
  CHECK_EQ(all.remove_over(start + 60s - 1ms), 0);
  CHECK_EQ(all.remove_over(start + 60s), 1);
  CHECK(names_of(all) == std::vector<std::string>{"blue"});
  CHECK(all.next_end() == start + 90s);
  CHECK_EQ(all.remove_over(start + 24h), 1);
  CHECK_FALSE(all.next_end());
  CHECK_EQ(all.drops().size(), 2);
}

TEST_CASE("added rules: another configuration has no place for all of them") {
  struct Case {
    const char* what;
    void (*change)(rules::Config& config);
    std::size_t forwards_left;
    std::size_t drops_left;
    const char* line;
  };
  const Case cases[] = {
      {"the same", [](rules::Config&) {}, 2, 2, ""},
      {"no such namespace", [](rules::Config& config) { config.namespaces[0].name = "red"; }, 1, 2,
       "forward tcp 203.0.113.1:40080 to 10.0.0.2:8080 of blue (added by pcp) is dropped: "
       "[[forward]] namespace: \"blue\" is no [[namespace]]"},
      {"no such range", [](rules::Config& config) { config.namespaces[1].name = "dsl"; }, 1, 1,
       "vpn-1003 (added by pcp) is dropped: "},
      {"other networks",
       [](rules::Config& config) {
         config.namespaces[0].subnets = {Network<Ipv4Address>{Ipv4Address::of(10, 1, 0, 0), 16}};
       },
       1, 2, "lies in none of namespace \"blue\"'s subnets"},
      {"no such external address",
       [](rules::Config& config) {
         config.external_addresses.erase(config.external_addresses.begin());
       },
       0, 2, "is not among [external] addresses"},
      {"other ports",
       [](rules::Config& config) {
         config.policy.ports = {40081, 40090};
       },
       1, 2, "its port is not among external.ports, 40081-40090"},
      {"a forward of its own",
       [](rules::Config& config) {
         config.policy.forwards.push_back({.protocol = 6, .external = {external, 40080}, .to = {}});
         config.policy.forwards.push_back(
             {.protocol = 17, .external = {external, 40081}, .to = {}});
       },
       1, 2, "the file has a [[forward]] with this external endpoint"},
      {"too many with a limit",
       [](rules::Config& config) {
         config.policy.forwards.resize(4096,
                                       {.external = {external, 1}, .to = {}, .session_limit = 1});
       },
       1, 2, "no more than 4096 forwards may have a session_limit"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    rules::Config config = some_config();
    one.change(config);
    AddedRules rules = some_rules();
    const auto lines = rules.fit_to(config);
    CHECK_EQ(rules.forwards().size(), one.forwards_left);
    CHECK_EQ(rules.drops().size(), one.drops_left);
    REQUIRE_EQ(lines.size(), 4 - one.forwards_left - one.drops_left);
    if (!lines.empty()) CHECK_NE(lines[0].find(one.line), std::string::npos);
  }
}

TEST_CASE("added rules: they follow the names of their namespaces") {
  rules::Config config = some_config();
  config.namespaces[0].policy.first = config.namespaces[0].policy.last = 7;
  config.namespaces[1].policy = {.first = 1002, .last = 1009};
  AddedRules rules = some_rules();
  CHECK(rules.fit_to(config).empty());
  CHECK_EQ(rules.forwards()[0].forward.rule.namespace_id, 7);
  CHECK_EQ(rules.forwards()[1].forward.rule.namespace_id, 1003);
  CHECK(rules.drops()[0].drop.pieces.at(0).namespaces == NamespaceRange{1002, 1009});
}

TEST_CASE("added rules: there is room for so many") {
  AddedRules all;
  AddedForward one = forward_of(forward_request(40080));
  for (std::size_t i = 0; i < AddedRules::most; ++i) {
    CHECK_FALSE(all.is_full());
    one.forward.rule.to.port = static_cast<std::uint16_t>(i + 1);
    one.forward.rule.external.port = static_cast<std::uint16_t>(40000 + i);
    one.terms.note = std::string(128, '"');
    all.put(one);
  }
  CHECK(all.is_full());
  CHECK_LT(kept_text(all, 1).size(), AddedRulesFile::largest);
}

TEST_CASE("added rules: a request's terms, and what is wrong with it") {
  const AddedForward plain = forward_of({{"protocol", "udp"},
                                         {"external", "203.0.113.1:40080"},
                                         {"namespace", "blue"},
                                         {"to", "10.0.0.2:80"}});
  CHECK(plain.terms == Terms{.owner = "operator", .note = ""});
  CHECK(forward_of(with(forward_request(40080), "lifetime", "1h")).terms.ends == start + 1h);
  const Json good = forward_request(40080);
  CHECK_EQ(forward_fault(good), "");
  for (const Json& lifetime :
       {Json(0), Json(-1), Json(1.5), Json("x"), Json(4'294'967'296), Json(true)}) {
    CHECK_NE(forward_fault(with(good, "lifetime", lifetime)).find("'lifetime' must be"),
             std::string::npos);
  }
  for (const Json& owner :
       {Json(""), Json(std::string(33, 'x')), Json("a\nb"), Json("\u00e9"), Json(7)}) {
    CHECK_NE(forward_fault(with(good, "owner", owner)).find("'owner' must be"), std::string::npos);
  }
  for (const Json& note : {Json(std::string(129, 'x')), Json("a\nb"), Json(7)}) {
    CHECK_NE(forward_fault(with(good, "note", note)).find("'note' must be"), std::string::npos);
  }
  CHECK_NE(forward_fault(with(good, "any_port", 1)).find("'any_port' must be"), std::string::npos);
  CHECK_NE(forward_fault(with(good, "port", 1)).find("unknown key \"port\""), std::string::npos);
  CHECK_NE(forward_fault(with(good, "to", Json::array())).find("must be text or a whole number"),
           std::string::npos);
  Json anywhere = with(good, "to", "[fd00::2]:80");
  CHECK_NE(forward_fault(anywhere).find("are not of the same family"), std::string::npos);
  anywhere.erase("external");
  CHECK_NE(forward_fault(anywhere).find("no external address of the family"), std::string::npos);
}

TEST_CASE("added rules: an external endpoint may lack its port, or be left out") {
  const auto read = [](Json request) { return requested_forward(request, some_config(), start); };
  Json request = forward_request(40080);
  CHECK(read(request).is_exact());
  CHECK_FALSE(read(with(request, "any_port", true)).is_exact());
  for (const char* text : {"203.0.113.2", "203.0.113.2:0"}) {
    const ForwardRequest wanted = read(with(request, "external", text));
    CHECK(wanted.address == IpAddress(Ipv4Address::of(203, 0, 113, 2)));
    CHECK_FALSE(wanted.port);
    CHECK_FALSE(wanted.is_exact());
  }
  request.erase("external");
  CHECK_FALSE(read(request).address);
  CHECK_NE(forward_fault(with(request, "external", "203.0.113.9")).find("is not among [external]"),
           std::string::npos);
  for (const char* text : {"", "wan0", "203.0.113.1:", "203.0.113.1:70000", "[203.0.113.1"}) {
    CHECK_NE(forward_fault(with(request, "external", text)).find("is no external endpoint"),
             std::string::npos);
  }
}

TEST_CASE("added rules: which forwards a removal means") {
  const AddedForward one = forward_of(forward_request(40080));
  const auto means = [&](const Json& request) { return chosen_forwards(request).means(one); };
  const Json by_external{{"protocol", "tcp"}, {"external", "203.0.113.1:40080"}};
  const Json by_target{{"protocol", "tcp"}, {"namespace", "blue"}, {"to", "10.0.0.2:8080"}};
  for (const Json& request : {by_external, by_target}) {
    CHECK(means(request));
    CHECK(means(with(request, "owner", "pcp")));
    CHECK_FALSE(means(with(request, "owner", "operator")));
    CHECK_FALSE(means(with(request, "protocol", "udp")));
  }
  CHECK_FALSE(means(with(by_external, "external", "203.0.113.1:40081")));
  CHECK_FALSE(means(with(by_target, "namespace", "vpn-1000")));
  CHECK_FALSE(means(with(by_target, "to", "10.0.0.2:8081")));
  const auto fault = [](const Json& request) {
    return fault_of([&] { chosen_forwards(request); });
  };
  CHECK_NE(fault({{"protocol", "tcp"}}).find("which forward is meant"), std::string::npos);
  CHECK_NE(fault({{"protocol", "icmp"}}).find("must be tcp or udp"), std::string::npos);
  CHECK_NE(fault({{"protocol", "tcp"}, {"to", "10.0.0.2:1"}}).find("'namespace'"),
           std::string::npos);
  CHECK_NE(fault({{"protocol", "tcp"}, {"external", 7}}).find("'external' must be text"),
           std::string::npos);
}

TEST_CASE("added rules: what is told of one") {
  const AddedRules all = some_rules();
  CHECK_EQ(
      json_of(all.forwards()[0], start).dump(),
      R"({"protocol":"tcp","external":"203.0.113.1:40080","namespace":"blue","to":"10.0.0.2:8080",)"
      R"("origin":"run time","owner":"pcp","note":"a camera"})");
  const Json ending = json_of(all.forwards()[1], start + 10s);
  CHECK_EQ(ending.at("lifetime_left"), 50.0);
  CHECK_EQ(ending.at("session_limit"), 5);
  CHECK_EQ(
      json_of(all.drops()[0], start).dump(),
      R"({"number":1,"protocol":"udp","port":"6881-6889","namespace":"vpn","origin":"run time",)"
      R"("owner":"operator"})");
}

TEST_CASE("added rules: a file keeps them, for this start of the machine alone") {
  TemporaryFolder folder;
  const std::string path = folder / "state.rules";
  AddedRulesFile file(path, 77);
  CHECK(file.read() == AddedRules());
  CHECK_EQ(file.keep(), "");
  CHECK_EQ(file.write(some_rules()), "");
  struct stat found {};
  REQUIRE_EQ(::stat(path.c_str(), &found), 0);
  CHECK_EQ(found.st_mode & 07777u, 0600u);
  AddedRules read = AddedRulesFile(path, 77).read();
  CHECK(read.fit_to(some_config()).empty());
  CHECK(read == some_rules());
  CHECK_EQ(read.put(drop_of(drop_request("blue"))).number, 3);
  AddedRulesFile later(path, 78);
  CHECK(later.read() == AddedRules());
  CHECK_NE(later.keep().find("it is of an earlier start of the machine; put aside as "),
           std::string::npos);
  CHECK(std::filesystem::exists(path + ".aside"));
  CHECK_FALSE(std::filesystem::exists(path));
  // Without a path nothing is kept.
  CHECK_EQ(AddedRulesFile("", 1).write(some_rules()), "");
  CHECK(AddedRulesFile("", 1).read() == AddedRules());
}

TEST_CASE("added rules: a file of no use is put aside with a line, and never ends a start") {
  TemporaryFolder folder;
  const std::string path = folder / "state.rules";
  const std::string good = kept_text(some_rules(), 77);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    REQUIRE_NE(text.find(from), std::string::npos);
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& text :
       {std::string(), std::string("\0\xff\n", 3), good.substr(0, good.size() / 2),
        std::string("[1]"), replaced("\"swnat_added_rules\":1", "\"swnat_added_rules\":2"),
        replaced("203.0.113.1:40080", "nowhere"), replaced("\"tcp\"", "\"ospf\""),
        replaced("\"note\":\"a camera\"", "\"note\":7"),
        replaced("\"first\":6881", "\"first\":6890"), replaced("\"owner\"", "\"renwo\""),
        std::string(AddedRulesFile::largest + 1, ' ')}) {
    write(path, text);
    AddedRulesFile file(path, 77);
    CHECK(file.read() == AddedRules());
    const std::string told = file.keep();
    CHECK_NE(told.find("put aside as " + path + ".aside, starting without them"),
             std::string::npos);
    CHECK_EQ(told.find('\n'), std::string::npos);
    CHECK_FALSE(std::filesystem::exists(path));
  }
  // Others'.
  write(path, good);
  ::chmod(path.c_str(), 0622);
  AddedRulesFile open(path, 77);
  CHECK(open.read() == AddedRules());
  CHECK_NE(open.keep().find("others may write to it"), std::string::npos);
  write(folder / "elsewhere", good);
  std::filesystem::create_symlink(folder / "elsewhere", path);
  AddedRulesFile link(path, 77);
  CHECK(link.read() == AddedRules());
  CHECK_NE(link.keep().find("it is a symbolic link"), std::string::npos);
  REQUIRE_EQ(::mkfifo(path.c_str(), 0600), 0);
  AddedRulesFile pipe(path, 77);
  CHECK(pipe.read() == AddedRules());
  CHECK_NE(pipe.keep().find("it is no regular file"), std::string::npos);
}

TEST_CASE("added rules: what cannot be written is told, and leaves the file as it was") {
  TemporaryFolder folder;
  const std::string path = folder / "state.rules";
  REQUIRE_EQ(AddedRulesFile(path, 77).write(some_rules()), "");
  std::filesystem::create_directory(path + ".new");
  CHECK_NE(AddedRulesFile(path, 77).write({}).find("cannot be written"), std::string::npos);
  CHECK_EQ(AddedRulesFile(path, 77).read().forwards().size(), 2);
}
