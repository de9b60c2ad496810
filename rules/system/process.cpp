#include "rules/system/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "rules/text/kernel_error.h"

extern char** environ;

namespace swnat::rules {
namespace {

struct Package {
  std::string_view program;
  std::string_view name;
};
constexpr Package packages[] = {{"nft", "nftables"},
                                {"iptables", "iptables"},
                                {"iptables-save", "iptables"},
                                {"iptables-restore", "iptables"},
                                {"ip", "iproute2"}};

// Input and output pass through unnamed files in memory: unlike pipes they cannot fill up or break.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("swnat", MFD_CLOEXEC)) {
    if (fd_ < 0)
      throw KernelError(fmt::format("no memory for a program's output: {}", std::strerror(errno)));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  int fd() const { return fd_; }

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd_, text.data(), text.size());
      if (written <= 0) throw KernelError("no memory for a program's input");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    lseek(fd_, 0, SEEK_SET);
  }

  std::string read() const {
    std::string text;
    char block[4096];
    for (;;) {
      const ssize_t count = pread(fd_, block, sizeof block, static_cast<off_t>(text.size()));
      if (count <= 0) return text;
      text.append(block, static_cast<std::size_t>(count));
    }
  }

 private:
  int fd_;
};

std::string find_program(std::string_view name) {
  const char* path = std::getenv("PATH");
  const std::string folders = fmt::format("{}:/usr/sbin:/sbin:/usr/bin:/bin", path ? path : "");
  std::string_view rest = folders;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    const std::string candidate = fmt::format("{}/{}", folder, name);
    if (!folder.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

std::string find_or_throw(std::string_view name) {
  std::string path = find_program(name);
  if (!path.empty()) return path;
  for (const Package& package : packages) {
    if (package.program != name) continue;
    throw KernelError(fmt::format("the program {} is missing; it is in the Debian package {}", name,
                                  package.name));
  }
  throw KernelError(fmt::format("the program {} is missing", name));
}

std::vector<char*> argument_pointers(const std::vector<std::string>& arguments) {
  std::vector<char*> pointers;
  // exec() wants char* for historical reasons and changes nothing.
  for (const std::string& each : arguments) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

int wait_for_end(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// What the child and those that it has waited for computed so far, as its line in /proc has it.
std::string computed_by(pid_t child) {
  constexpr int first = 12;  // of four fields behind the program's name: utime to cstime
  std::ifstream file(fmt::format("/proc/{}/stat", child));
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string all;
  std::string field;
  for (int i = 1; i < first + 4 && fields >> field; ++i) {
    if (i >= first) all += field + ' ';
  }
  return all;
}

// False if it did not end, and computed nothing for too long. Where the kernel cannot tell of a
// child's end (before 5.3) it is waited for without limit.
bool ends_by_itself(pid_t child) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  if (fd < 0) return true;
  const std::chrono::milliseconds idleness = longest_idleness;
  bool has_ended = false;
  std::string before;
  for (std::string now = computed_by(child); !has_ended && now != before;
       now = computed_by(child)) {
    before = std::move(now);
    const auto until = std::chrono::steady_clock::now() + idleness;
    for (auto left = idleness; !has_ended && left.count() > 0;
         left = std::chrono::ceil<std::chrono::milliseconds>(until -
                                                             std::chrono::steady_clock::now())) {
      pollfd end{fd, POLLIN, 0};
      has_ended = poll(&end, 1, static_cast<int>(left.count())) > 0;
    }
  }
  close(fd);
  return has_ended;
}

// Its exit code. Throws KernelError.
int wait_for(pid_t child, std::string_view name) {
  const bool hangs = !ends_by_itself(child);
  // With what it may have started, if it leads a group of its own.
  if (hangs && kill(-child, SIGKILL) != 0) kill(child, SIGKILL);
  const int exit_code = wait_for_end(child);
  if (!hangs) return exit_code;
  throw KernelError(fmt::format("{} hangs: it computed nothing for {} s, and was ended", name,
                                std::chrono::duration<double>(longest_idleness.load()).count()));
}

class SpawnSettings {
 public:
  SpawnSettings(const MemoryFile& input, const MemoryFile& output, const MemoryFile& error) {
    posix_spawn_file_actions_init(&files_);
    posix_spawn_file_actions_adddup2(&files_, input.fd(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files_, output.fd(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files_, error.fd(), STDERR_FILENO);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
  }
  ~SpawnSettings() {
    posix_spawnattr_destroy(&attributes_);
    posix_spawn_file_actions_destroy(&files_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  const posix_spawn_file_actions_t* files() const { return &files_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

}  // namespace

bool has_program(std::string_view name) {
  return !find_program(name).empty();
}

ProcessResult run(const std::vector<std::string>& arguments, std::string_view input) {
  const std::string path = find_or_throw(arguments.front());
  MemoryFile in;
  const MemoryFile out;
  const MemoryFile err;
  in.write(input);
  const SpawnSettings settings(in, out, err);
  pid_t child = 0;
  const int failure = posix_spawn(&child, path.c_str(), settings.files(), settings.attributes(),
                                  argument_pointers(arguments).data(), environ);
  if (failure != 0) {
    throw KernelError(fmt::format("{} cannot be started: {}", path, std::strerror(failure)));
  }
  const int exit_code = wait_for(child, arguments.front());
  return {exit_code, out.read(), err.read()};
}

std::string run_or_throw(const std::vector<std::string>& arguments, std::string_view input) {
  ProcessResult result = run(arguments, input);
  if (result.exit_code == 0) return std::move(result.output);
  std::string said = in_short(result.error);
  if (said.empty()) said = fmt::format("exit code {}", result.exit_code);
  throw KernelError(fmt::format("{} failed: {}", arguments.front(), said));
}

std::optional<ProcessResult> run_apart(const std::vector<std::string>& arguments,
                                       std::string_view input) {
  constexpr int no_namespace = 125;
  const std::string path = find_or_throw(arguments.front());
  MemoryFile in;
  const MemoryFile out;
  const MemoryFile err;
  in.write(input);
  const std::vector<char*> pointers = argument_pointers(arguments);
  // vfork() and posix_spawn() cannot do this: the namespace must be the child's alone.
  const pid_t child = fork();
  if (child < 0)
    throw KernelError(fmt::format("no process can be started: {}", std::strerror(errno)));
  if (child == 0) {
    // Without privileges a namespace of users makes one of networks possible, where the system
    // allows it.
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
      _exit(no_namespace);
    dup2(in.fd(), STDIN_FILENO);
    dup2(out.fd(), STDOUT_FILENO);
    dup2(err.fd(), STDERR_FILENO);
    execv(path.c_str(), pointers.data());
    _exit(no_namespace);
  }
  const int exit_code = wait_for(child, arguments.front());
  if (exit_code == no_namespace) return std::nullopt;
  return ProcessResult{exit_code, out.read(), err.read()};
}

std::string in_short(std::string_view error) {
  constexpr std::size_t longest = 300;
  std::string line;
  for (const char c : error) {
    // Programs underline what they mean with ^^^, which means nothing on one line.
    if (c == '^') continue;
    const bool space = c == '\n' || c == '\t' || c == ' ';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  if (line.size() > longest) line = line.substr(0, longest) + " …";
  return line;
}

}  // namespace swnat::rules
