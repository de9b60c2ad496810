#include "nfq/own_process.h"

#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "nfq/error.h"

namespace swnat::nfq {

void require_net_admin() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  const bool known = ::syscall(SYS_capget, &header, data.data()) == 0;
  if (!known || (data[0].effective & 1u << CAP_NET_ADMIN) == 0) {
    throw Error("CAP_NET_ADMIN is missing, without which no queue can be bound; run as root");
  }
}

std::array<std::uint64_t, 4> random_words() {
  std::array<std::uint64_t, 4> words{};
  if (::getrandom(words.data(), sizeof words, 0) != ssize_t{sizeof words}) {
    throw Error(fmt::format("getrandom: {}", std::strerror(errno)));
  }
  return words;
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace swnat::nfq
