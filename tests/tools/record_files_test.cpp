#include "tools/record_files.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.h"
#include "tools/swnatctl_connection.h"
#include "tools/who.h"

using namespace swnat::ctl;
using swnat::test::TemporaryFolder;

namespace {

std::string line_of(int day, std::string_view event, std::string_view port) {
  return fmt::format(R"({{"time":"2026-11-{:02}T12:00:00.000Z","event":"{}","namespace":"blue",)"
                     R"("fwmark":1,"protocol":"tcp","internal":"10.0.0.2:5000",)"
                     R"("external":"203.0.113.1:{}"}})"
                     "\n",
                     day, event, port);
}

void write(const std::string& path, std::string_view text) {
  std::ofstream(path) << text;
}

void compress(const std::string& path, std::string_view text) {
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE_EQ(gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
             static_cast<int>(text.size()));
  gzclose(file);
}

// As if the disk had been full while it was written.
void cut_compressed(const std::string& path, std::string_view text) {
  compress(path, text);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
}

std::string all_of(const std::string& path) {
  std::string all;
  read_lines(path, [&](std::string_view line) {
    all.append(line).append("|");
    return true;
  });
  return all;
}

struct Rotated : TemporaryFolder {
  std::string log = *this / "log";

  Rotated() {
    write(log, line_of(29, "mapping_made", "40003"));
    write(log + ".1", "the rest of a line\n" + line_of(28, "mapping_ended", "40001"));
    compress(log + ".2.gz", line_of(27, "mapping_made", "40001"));
    compress(log + "-20261120.gz", line_of(20, "mapping_made", "40000"));
    write(log + ".xz",
          "\xfd"
          "7zXZ\n");
    write(*this / "logger", line_of(1, "mapping_made", "40009"));
    write(log + ".3", "");
    std::filesystem::create_directory(log + ".d");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Rotated, "record files: a log and its siblings, the oldest first") {
  const RecordFiles files = find_records(log);
  CHECK_EQ(files.paths,
           std::vector<std::string>{log + "-20261120.gz", log + ".2.gz", log + ".1", log});
  CHECK_EQ(files.skipped, std::vector<std::string>{log + ".xz"});
}

TEST_CASE_FIXTURE(Rotated, "who: who had a port is told over rotated files") {
  WhoOptions options{
      .endpoint = "203.0.113.1:40001", .at = "2026-11-28T00:00:00Z", .protocol = {}, .log = log};
  const WhoAnswer answer = who(options, "/nonexistent", std::chrono::seconds(1), false);
  CHECK(answer.found);
  CHECK_EQ(answer.text,
           "blue (fwmark 1), tcp from 10.0.0.2:5000, as 203.0.113.1:40001 (mapping): "
           "from 2026-11-27T12:00:00.000Z until 2026-11-28T12:00:00.000Z\n");
  options.at = "2026-11-28 13:00";
  CHECK_FALSE(who(options, "/nonexistent", std::chrono::seconds(1), false).found);
  options.endpoint = "203.0.113.1:40000";
  CHECK(who(options, "/nonexistent", std::chrono::seconds(1), true).text.find(R"("until": null)") !=
        std::string::npos);
}

TEST_CASE("record files: lines that are too long are left out and counted; the last needs an end") {
  const TemporaryFolder folder;
  const std::string path = folder / "log";
  const std::string longest(longest_line, 'x');
  const std::string endless(3'000'000, 'y');
  write(path, "a\n\n" + longest + "\n" + longest + "x\nb\n" + endless + "\nc\ncut");
  CHECK_EQ(all_of(path), "a||" + longest + "|b|c|");
  CHECK_EQ(read_lines(path, [](std::string_view) { return true; }), 2);
  write(path, endless);
  CHECK_EQ(all_of(path), "");
  CHECK_EQ(read_lines(path, [](std::string_view) { return true; }), 1);
}

TEST_CASE("record files: what cannot be read is told") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(find_records(folder / "log"), Error);
  CHECK_THROWS_AS(find_records(folder / "none/log"), Error);
  std::string many;
  for (int i = 0; i < 10'000; ++i)
    many += line_of(1 + i % 28, "mapping_made", std::to_string(i * 7919 % 65536));
  cut_compressed(folder / "log.1.gz", many);
  CHECK_THROWS_AS(all_of(folder / "log.1.gz"), Error);
}

TEST_CASE_FIXTURE(Rotated, "who: the rest of a log is searched where a file cannot be read") {
  cut_compressed(log + ".4.gz", line_of(1, "mapping_made", "40009"));
  std::string many = line_of(2, "mapping_made", "40007");
  for (int i = 0; i < 10'000; ++i)
    many += line_of(3, "mapping_made", std::to_string(i * 7919 % 9973));
  cut_compressed(log + ".5.gz", many);
  write(log + ".6", line_of(4, "mapping_made", "40006") + std::string(100'000, 'x') + "\n");
  const WhoOptions options{
      .endpoint = "203.0.113.1:40001", .at = "2026-11-28T00:00:00Z", .protocol = {}, .log = log};
  const WhoAnswer answer = who(options, "/nonexistent", std::chrono::seconds(1), false);
  CHECK(answer.found);
  CHECK_FALSE(answer.is_whole);
  CHECK(answer.text.starts_with("blue (fwmark 1), tcp from 10.0.0.2:5000"));
  for (const char* told : {"log.4.gz: ", "log.5.gz: ", "log.6: 1 line left out"}) {
    CAPTURE(answer.notes);
    CHECK_NE(answer.notes.find(told), std::string::npos);
  }
  const WhoAnswer json = who(options, "/nonexistent", std::chrono::seconds(1), true);
  CHECK_NE(json.text.find("log.5.gz: "), std::string::npos);
}

TEST_CASE_FIXTURE(Rotated, "who: a protocol is a name or a number that others know") {
  WhoOptions options{
      .endpoint = "203.0.113.1:40001", .at = "2026-11-28T00:00:00Z", .protocol = {}, .log = log};
  const auto found = [&](const char* protocol) {
    options.protocol = protocol;
    return who(options, "/nonexistent", std::chrono::seconds(1), false).found;
  };
  CHECK(found("tcp"));
  CHECK(found("6"));
  CHECK_FALSE(found("udp"));
  CHECK_FALSE(found("icmp6"));
  CHECK_THROWS_WITH_AS(found("tpc"),
                       "--protocol: 'tpc' is no protocol; did you mean 'tcp'? (allowed: tcp, udp, "
                       "icmp of either family, icmpv6, …, or a number)",
                       UsageError);
}

TEST_CASE("who: icmp is that of the endpoint's family, as in lists") {
  const TemporaryFolder folder;
  write(folder / "log",
        R"({"time":"2026-11-01T12:00:00.000Z","event":"mapping_made","namespace":"blue",)"
        R"("fwmark":1,"protocol":"icmpv6","internal":"[fd00::2]:7",)"
        R"("external":"[2001:db8::1]:40001"})"
        "\n");
  const WhoOptions options{.endpoint = "[2001:db8::1]:40001",
                           .at = "2026-11-28T00:00:00Z",
                           .protocol = "icmp",
                           .log = folder / "log"};
  CHECK(who(options, "/nonexistent", std::chrono::seconds(1), false).found);
}

TEST_CASE("who: without a daemon it says how to name the log") {
  const WhoOptions options{.endpoint = "203.0.113.1:1", .at = {}, .protocol = {}, .log = {}};
  try {
    who(options, "/nonexistent/socket", std::chrono::seconds(1), false);
    FAIL("an answer without a log");
  } catch (const Error& error) {
    CHECK_NE(std::string(error.what()).find("--log FILE"), std::string::npos);
  }
}
