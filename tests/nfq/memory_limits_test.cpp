// What control groups, the machine and resource limits leave, read below a root that tests make up.
#include "nfq/memory_limits.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/temporary_folder.h"

using namespace swnat::nfq;

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

class Root {
 public:
  Root& file(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = folder_ / path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
    return *this;
  }
  // A group of version 2.
  Root& group(const std::string& path, const std::string& limit, std::uint64_t usage,
              const std::string& stat = "") {
    const std::string folder = "sys/fs/cgroup" + path;
    file(folder + "/memory.max", limit + "\n");
    file(folder + "/memory.current", std::to_string(usage) + "\n");
    return file(folder + "/memory.stat", stat);
  }
  Root& unified(const std::string& own, const std::string& mounted = "/") {
    file("proc/self/cgroup", "0::" + own + "\n");
    return file("proc/self/mountinfo",
                "22 1 0:20 / /proc rw - proc proc rw\n30 22 0:26 " + mounted +
                    " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  }
  std::vector<MemoryLimit> limits() const { return memory_limits(folder_.name()); }
  MemoryLimit only() const {
    const auto all = limits();
    REQUIRE_EQ(all.size(), 1);
    return all.front();
  }

 private:
  swnat::test::TemporaryFolder folder_;
};

std::string number(std::uint64_t mebibytes) {
  return std::to_string(mebibytes * mebibyte);
}

}  // namespace

TEST_CASE("memory_limits: a control group's limit, less what is used and cannot be taken back") {
  Root root;
  root.unified("/system.slice/swnat.service");
  root.group("/system.slice/swnat.service", number(64), 20 * mebibyte,
             "anon " + number(5) + "\nfile " + number(9) + "\ninactive_file " + number(2) +
                 "\nactive_file " + number(3) + "\nslab_reclaimable " + number(1) + "\n");
  const MemoryLimit limit = root.only();
  CHECK_EQ(limit.what, "control group /system.slice/swnat.service (memory.max)");
  CHECK_EQ(limit.limit, 64 * mebibyte);
  CHECK_EQ(limit.left, 50 * mebibyte);
}

TEST_CASE("memory_limits: all groups up to the root count") {
  Root root;
  root.unified("/a/b/c");
  root.group("/a/b/c", "max", 1)
      .group("/a/b", number(40), 0)
      .group("/a", number(30), 25 * mebibyte);
  const auto limits = root.limits();
  REQUIRE_EQ(limits.size(), 2);
  CHECK_EQ(limits[0].what, "control group /a/b (memory.max)");
  CHECK_EQ(limits[1].what, "control group /a (memory.max)");
  CHECK_EQ(limits[1].left, 5 * mebibyte);
}

TEST_CASE("memory_limits: more used than allowed leaves nothing") {
  Root root;
  root.unified("/a").group("/a", number(10), 12 * mebibyte);
  CHECK_EQ(root.only().left, 0);
}

TEST_CASE("memory_limits: in a container the mount shows a part of the hierarchy only") {
  Root part;
  part.unified("/docker/1/inner", "/docker/1")
      .group("/inner", number(7), 0)
      .group("", number(9), 0);
  REQUIRE_EQ(part.limits().size(), 2);
  CHECK_EQ(part.limits()[0].what, "control group /docker/1/inner (memory.max)");
  CHECK_EQ(part.limits()[1].left, 9 * mebibyte);

  Root own;  // a namespace of control groups, whose root is the mount's
  own.unified("/").group("", number(9), 0);
  CHECK_EQ(own.only().left, 9 * mebibyte);

  Root elsewhere;  // the process was moved out of what it sees
  elsewhere.unified("/../other").group("", number(8), 0);
  CHECK_EQ(elsewhere.only().left, 8 * mebibyte);
}

TEST_CASE("memory_limits: version 1, also beside version 2, and at a place with a space") {
  Root root;
  root.file("proc/self/cgroup", "7:cpu,cpuacct:/x\n4:memory:/a/b\n0::/elsewhere\n");
  root.file("proc/self/mountinfo",
            "30 22 0:26 / /sys/fs/cg\\040v1/memory rw - cgroup cgroup rw,memory\n"
            "31 22 0:27 / /sys/fs/cg\\040v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
            "32 22 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  const std::string top = "sys/fs/cg v1/memory";
  for (const std::string folder : {"", "/a", "/a/b"}) {
    root.file(top + folder + "/memory.limit_in_bytes",
              folder == "/a" ? number(12) : "9223372036854771712");
    root.file(top + folder + "/memory.usage_in_bytes", number(4));
    root.file(top + folder + "/memory.stat",
              "inactive_file 7\ntotal_inactive_file " + number(1) + "\ntotal_active_file 0\n");
  }
  const MemoryLimit limit = root.only();
  CHECK_EQ(limit.what, "control group /a (memory.limit_in_bytes)");
  CHECK_EQ(limit.left, 9 * mebibyte);
}

TEST_CASE("memory_limits: what the machine has left") {
  Root root;
  root.file("proc/meminfo", "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:  1024 kB\n");
  CHECK_EQ(root.only().what, "machine");
  CHECK_EQ(root.only().left, mebibyte);
  CHECK_EQ(root.only().limit, 2 * mebibyte);
}

TEST_CASE("memory_limits: where nothing can be read there is no limit") {
  Root root;
  CHECK(root.limits().empty());
  root.file("proc/meminfo", "MemTotal:  2048 kB\n");
  CHECK(root.limits().empty());
  root.unified("/a");
  CHECK(root.limits().empty());
  root.file("proc/self/mountinfo", "nonsense\n - \n1 2 3 - cgroup2\n");
  root.file("proc/self/cgroup", "nonsense\n:\n");
  CHECK(root.limits().empty());
}

TEST_CASE("memory_limits: the fault names the tightest limit, and what to do") {
  const MemoryNeed need{60 * mebibyte, 200 * mebibyte, "nat.max_sessions = 262144"};
  const MemoryLimit wide{"machine", 100 * mebibyte, 500 * mebibyte};
  const MemoryLimit tight{"control group /a (memory.max)", 59 * mebibyte, 64 * mebibyte};
  CHECK_EQ(memory_fault(need, {wide}, {}), "");
  CHECK_EQ(memory_fault(need, {}, {}), "");
  CHECK_EQ(memory_fault(need, {wide, tight}, {}),
           "not enough memory: nat.max_sessions = 262144 may need 60.0 MiB, but the control group "
           "/a (memory.max) has 59.0 MiB left of 64.0 MiB; make nat.max_sessions smaller, or "
           "the limit larger");
  CHECK_EQ(memory_fault(need, {wide}, {wide}),
           "not enough memory: nat.max_sessions = 262144 reserves 200.0 MiB, but the machine has "
           "100.0 MiB left of 500.0 MiB; make nat.max_sessions smaller, or the limit larger");
}

TEST_CASE("memory_limits: this process's own can be read") {
  for (const MemoryLimit& limit : memory_limits()) CHECK_LE(limit.left, limit.limit);
  rlimit before{};
  REQUIRE_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  const rlimit lower{std::min<rlim_t>(before.rlim_max, rlim_t{1} << 46), before.rlim_max};
  REQUIRE_EQ(::setrlimit(RLIMIT_AS, &lower), 0);
  const auto limits = reservation_limits();
  REQUIRE_EQ(::setrlimit(RLIMIT_AS, &before), 0);
  REQUIRE_FALSE(limits.empty());
  CHECK_EQ(limits.front().what, "address space (RLIMIT_AS)");
  CHECK_LT(limits.front().left, limits.front().limit);
}
