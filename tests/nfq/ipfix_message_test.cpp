#include "nfq/ipfix_message.h"

#include <doctest/doctest.h>

#include <map>

#include "swnat/address_text.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace std::chrono_literals;

namespace {

constexpr WallTime noon{1'795'953'600'123ms};

// Reads what stands in a message, as a collector does.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t number(std::size_t size) {
    REQUIRE_GE(rest_.size(), size);
    std::uint64_t value = 0;
    for (const char c : rest_.substr(0, size)) value = value << 8 | static_cast<unsigned char>(c);
    rest_.remove_prefix(size);
    return value;
  }
  std::string raw(std::size_t size) {
    REQUIRE_GE(rest_.size(), size);
    const std::string bytes(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return bytes;
  }
  std::size_t size() const { return rest_.size(); }

 private:
  std::string_view rest_;
};

struct Header {
  std::uint64_t length, time, sequence, domain;
};

Header read_header(Bytes& bytes) {
  CHECK_EQ(bytes.number(2), 10);
  Header header{};
  header.length = bytes.number(2);
  header.time = bytes.number(4);
  header.sequence = bytes.number(4);
  header.domain = bytes.number(4);
  return header;
}

// Element and length, by template.
using Templates = std::map<std::uint64_t, std::vector<std::pair<std::uint64_t, std::uint64_t>>>;

Templates read_templates(const std::string& message) {
  Bytes bytes(message);
  CHECK_EQ(read_header(bytes).length, message.size());
  CHECK_EQ(bytes.number(2), 2);
  CHECK_EQ(bytes.number(2), message.size() - 16);
  Templates all;
  while (bytes.size() != 0) {
    auto& elements = all[bytes.number(2)];
    for (std::uint64_t count = bytes.number(2); count != 0; --count) {
      const std::uint64_t element = bytes.number(2);
      elements.emplace_back(element, bytes.number(2));
    }
  }
  return all;
}

// Each record's elements in hexadecimal.
using Record = std::map<std::uint64_t, std::string>;

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::vector<Record> read_records(const Templates& templates, const std::string& message) {
  Bytes bytes(message);
  CHECK_EQ(read_header(bytes).length, message.size());
  std::vector<Record> all;
  while (bytes.size() != 0) {
    const auto& elements = templates.at(bytes.number(2));
    Bytes set(std::string_view(message).substr(message.size() - bytes.size() + 2));
    const std::uint64_t size = bytes.number(2) - 4;
    const std::string raw = bytes.raw(size);
    Bytes records(raw);
    while (records.size() != 0) {
      Record& record = all.emplace_back();
      for (const auto& [element, length] : elements) record[element] = hex(records.raw(length));
    }
  }
  return all;
}

LogRecord record_of(EventKind kind, bool is_v6 = false) {
  const auto endpoint = [](std::string_view text) { return parse_endpoint(text).value(); };
  return {.time = noon,
          .event = {.kind = kind,
                    .protocol = 6,
                    .namespace_id = 7,
                    .internal = endpoint(is_v6 ? "[fd00::2]:5000" : "10.0.0.2:5000"),
                    .external = endpoint(is_v6 ? "[2001:db8::1]:40000" : "203.0.113.1:40000"),
                    .remote = endpoint(is_v6 ? "[2001:db8::7]:443" : "198.51.100.7:443")}};
}

Record only_record(const LogRecord& record, bool destinations = false) {
  IpfixEncoder encoder(destinations);
  const Templates templates = read_templates(encoder.templates(noon));
  const auto all = read_records(templates, encoder.message({&record, 1}, noon, 1400).bytes);
  REQUIRE_EQ(all.size(), 1);
  return all[0];
}

const std::string noon_hex = "000001a2272d267b";

}  // namespace

TEST_CASE("ipfix: a mapping of IPv4 is a NAT44 BIB event") {
  CHECK_EQ(only_record(record_of(EventKind::mapping_made)), Record{{323, noon_hex},
                                                                   {230, "08"},
                                                                   {234, "00000007"},
                                                                   {4, "06"},
                                                                   {8, "0a000002"},
                                                                   {7, "1388"},
                                                                   {225, "cb007101"},
                                                                   {227, "9c40"}});
  CHECK_EQ(only_record(record_of(EventKind::mapping_ended)).at(230), "09");
}

TEST_CASE("ipfix: sessions tell destinations only if these are wanted") {
  const Record without = only_record(record_of(EventKind::session_made));
  CHECK_EQ(without.at(230), "04");
  CHECK_FALSE(without.contains(12));
  const Record with = only_record(record_of(EventKind::session_ended), true);
  CHECK_EQ(with.at(230), "05");
  CHECK_EQ(with.at(12), "c6336407");
  CHECK_EQ(with.at(11), "01bb");
}

TEST_CASE("ipfix: IPv6 has addresses of its own") {
  const Record made = only_record(record_of(EventKind::session_made, true), true);
  CHECK_EQ(made.at(230), "01");
  CHECK_EQ(made.at(27), "fd000000000000000000000000000002");
  CHECK_EQ(made.at(281), "20010db8000000000000000000000001");
  CHECK_EQ(made.at(28), "20010db8000000000000000000000007");
  CHECK_EQ(only_record(record_of(EventKind::mapping_ended, true)).at(230), "02");
}

TEST_CASE("ipfix: a block is a range of ports") {
  for (const bool is_v6 : {false, true}) {
    LogRecord taken = record_of(EventKind::block_taken, is_v6);
    taken.event.internal = {};
    taken.event.count = 512;
    const Record record = only_record(taken);
    CHECK_EQ(record.at(230), "10");
    CHECK_EQ(record.at(361), "9c40");
    CHECK_EQ(record.at(362), "9e3f");
    CHECK_EQ(record.at(is_v6 ? 27 : 8), std::string(is_v6 ? 32 : 8, '0'));
  }
  CHECK_EQ(only_record(record_of(EventKind::block_given_up)).at(230), "11");
}

TEST_CASE("ipfix: a message is as large as allowed, and its number counts records before it") {
  IpfixEncoder encoder(false);
  const Templates templates = read_templates(encoder.templates(noon));
  std::vector<LogRecord> many(100, record_of(EventKind::mapping_made));
  many[50] = record_of(EventKind::mapping_made, true);
  many[51] = {.time = noon, .event = {.count = 3}};  // IPFIX has none for what is lost
  std::size_t taken = 0;
  std::size_t records = 0;
  while (taken < many.size()) {
    const IpfixMessage message =
        encoder.message(std::span(many).subspan(taken), noon, IpfixEncoder::least_size);
    CHECK_LE(message.bytes.size(), IpfixEncoder::least_size);
    Bytes bytes(message.bytes);
    const Header header = read_header(bytes);
    CHECK_EQ(header.sequence, records);
    CHECK_EQ(header.time, 1'795'953'600);
    CHECK_EQ(header.domain, 1);
    records += read_records(templates, message.bytes).size();
    taken += message.taken;
  }
  CHECK_EQ(taken, 100);
  CHECK_EQ(records, 99);
  const std::string again = encoder.templates(noon);
  Bytes bytes(again);
  CHECK_EQ(read_header(bytes).sequence, 99);
  encoder.begin();
  CHECK_EQ(encoder.message(many, noon, 512).bytes.substr(8, 4), std::string(4, '\0'));
}

TEST_CASE("ipfix: records that it has none for make no message") {
  IpfixEncoder encoder(false);
  const LogRecord begin{.time = noon, .begins = true};
  const IpfixMessage message = encoder.message({&begin, 1}, noon, 512);
  CHECK(message.bytes.empty());
  CHECK_EQ(message.taken, 1);
}

TEST_CASE("ipfix: the templates fit in what every path takes") {
  CHECK_LE(IpfixEncoder(true).templates(noon).size(), IpfixEncoder::least_size);
}
