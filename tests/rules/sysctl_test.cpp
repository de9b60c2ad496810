// What a sysctl does not take is told with the reason.
#include "rules/system/sysctl.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cerrno>
#include <fstream>

#include "rules/kernel/kernel.h"
#include "tests/support/temporary_folder.h"

namespace swnat::rules {
namespace {

// Files take no more than so many bytes, as long as this lives.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }
  FileLimit(const FileLimit&) = delete;
  FileLimit& operator=(const FileLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

}  // namespace

TEST_CASE("a value of which only a part is taken is told so, not with an older reason") {
  const test::TemporaryFolder folder;
  const std::string file = folder / "value";
  std::ofstream(file) << "";
  std::string told;
  {
    const FileLimit limit(2);
    errno = ENOENT;
    try {
      write_sysctl({"../.." + file, "1000"});
    } catch (const KernelError& error) {
      told = error.what();
    }
  }
  CHECK_EQ(told,
           "/proc/sys/../.." + file + " cannot be set to \"1000\": it takes only a part of that");
}

}  // namespace swnat::rules
