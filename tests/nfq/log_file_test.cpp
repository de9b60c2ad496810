#include "nfq/log_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "tests/support/log_batches.h"
#include "tests/support/temporary_folder.h"

using namespace swnat;
using namespace swnat::nfq;
using namespace swnat::test;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  TemporaryFolder folder;
  std::string path = folder / "log";
  LogCounters counters;
  LogOutputCounters& own = counters.outputs[static_cast<std::size_t>(LogOutputKind::file)];
  LogFile file{path, counters};
  Time now{1000};

  void write(const LogBatch& batch) { file.write(batch, now); }
};

// No file of this process may become longer.
class ShortFiles {
 public:
  explicit ShortFiles(rlim_t most) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = most;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~ShortFiles() { ::setrlimit(RLIMIT_FSIZE, &before_); }
  ShortFiles(const ShortFiles&) = delete;
  ShortFiles& operator=(const ShortFiles&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "log file: it is made with its mode, and appended to") {
  const mode_t mask = ::umask(077);
  write(batch_of(40000, 2));
  ::umask(mask);
  struct stat found {};
  REQUIRE_EQ(::stat(path.c_str(), &found), 0);
  CHECK_EQ(found.st_mode & 07777, 0640u);
  write(batch_of(40002, 1));
  CHECK_EQ(text_of_file(path), batch_of(40000, 3).text());
  CHECK_EQ(own.records, 3);
  CHECK_EQ(own.errors, 0);
}

TEST_CASE_FIXTURE(Fixture, "log file: what is renamed is written on until it is opened anew") {
  write(batch_of(40000, 1));
  std::filesystem::rename(path, path + ".1");
  write(batch_of(40001, 1));
  CHECK_FALSE(std::filesystem::exists(path));
  file.reopen();
  file.tick(now);
  CHECK(std::filesystem::exists(path));
  write(batch_of(40002, 1));
  CHECK_EQ(text_of_file(path + ".1"), batch_of(40000, 2).text());
  CHECK_EQ(text_of_file(path), batch_of(40002, 1).text());
}

TEST_CASE_FIXTURE(Fixture, "log file: one that cannot be opened is tried again after a while") {
  std::filesystem::create_directory(path);
  write(batch_of(40000, 2));
  CHECK_EQ(own.errors, 1);
  CHECK_EQ(own.lost, 2);
  std::filesystem::remove(path);
  write(batch_of(40002, 1));
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_EQ(own.lost, 3);
  now += LogOutput::retry_pause;
  write(batch_of(40003, 1));
  const std::string text = text_of_file(path);
  CHECK(text.starts_with(R"({"time":"2026-11-29T12:00:00.123Z","event":"lost","count":3})"
                         "\n"));
  CHECK(text.ends_with(batch_of(40003, 1).text()));
  CHECK_EQ(own.errors, 1);
}

TEST_CASE_FIXTURE(Fixture, "log file: opened anew, it is tried at once") {
  std::filesystem::create_directory(path);
  write(batch_of(40000, 1));
  std::filesystem::remove(path);
  file.reopen();
  write(batch_of(40001, 1));
  CHECK(text_of_file(path).ends_with(batch_of(40001, 1).text()));
}

TEST_CASE_FIXTURE(Fixture, "log file: a line that was cut is not glued to the next") {
  const LogBatch batch = batch_of(40000, 3);
  const std::size_t two_and_a_half = batch.line(0).size() * 5 / 2;
  {
    const ShortFiles limit(two_and_a_half);
    write(batch);
  }
  CHECK_EQ(own.records, 2);
  CHECK_EQ(own.lost, 1);
  now += LogOutput::retry_pause;
  write(batch_of(40003, 1));
  CHECK_EQ(text_of_file(path),
           batch.text().substr(0, two_and_a_half) +
               "\n{\"time\":\"2026-11-29T12:00:00.123Z\",\"event\":\"lost\",\"count\":1}\n" +
               batch_of(40003, 1).text());
}

TEST_CASE_FIXTURE(Fixture, "log file: nor is one that an earlier daemon left") {
  std::ofstream(path) << "{\"time\":\"20";
  write(batch_of(40000, 1));
  CHECK_EQ(text_of_file(path), "{\"time\":\"20\n" + batch_of(40000, 1).text());
}

TEST_CASE_FIXTURE(Fixture, "log file: what is no file is refused, and nobody waits for it") {
  REQUIRE_EQ(::mkfifo(path.c_str(), 0600), 0);
  write(batch_of(40000, 1));
  CHECK_EQ(own.errors, 1);
  CHECK_EQ(own.lost, 1);
}
