#include "rules/kernel/member_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "rules/kernel/record_place.h"
#include "rules/text/kernel_error.h"

namespace swnat::rules {
namespace {

constexpr const char* first_word = "swnat-members-1";

std::string first_line(const RecordOrigin& origin) {
  return fmt::format("{} {} {}", first_word, origin.boot_id, origin.namespace_cookie);
}

}  // namespace

// A line for each fwmark: no name of an interface has a space, nor the name of a sysctl of one.
std::string to_text(const MemberBook& book, const RecordOrigin& origin) {
  std::string text = first_line(origin) + '\n';
  for (const auto& [fwmark, member] : book) {
    text += fmt::format("{} {} {} {} {}", fwmark, member.interface, member.number,
                        member.has_sessions ? 1 : 0, member.gone);
    for (const Sysctl& each : member.originals)
      text += fmt::format(" {}={}", each.name, each.value);
    text += '\n';
  }
  return text;
}

MemberBook book_in(const std::string& text, const RecordOrigin& origin) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != first_line(origin)) return {};
  MemberBook book;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::uint32_t fwmark = 0;
    Member member;
    if (!(words >> fwmark >> member.interface >> member.number >> member.has_sessions >>
          member.gone)) {
      return {};
    }
    for (std::string word; words >> word;) {
      const std::size_t middle = word.find('=');
      if (middle == std::string::npos) return {};
      member.originals.push_back({word.substr(0, middle), word.substr(middle + 1)});
    }
    book[fwmark] = std::move(member);
  }
  return book;
}

std::string file_version(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) != 0) return "";
  return fmt::format("{} {}.{:09}", found.st_ino, found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
}

bool MemberStore::is_there(const std::string& control_socket) {
  return !file_version(place_beside(control_socket, "members") + ".lock").empty();
}

MemberStore::MemberStore(const std::string& control_socket) {
  constexpr std::chrono::seconds longest_wait{60};
  const auto end = std::chrono::steady_clock::now() + longest_wait;
  while (!open_and_lock(control_socket)) {
    if (std::chrono::steady_clock::now() > end) {
      throw KernelError(fmt::format("{} is locked by another process", lock_file_));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

std::unique_ptr<MemberStore> MemberStore::try_to_lock(const std::string& control_socket) {
  std::unique_ptr<MemberStore> store(new MemberStore);
  if (file_version(record_folder(control_socket)).empty()) return nullptr;
  return store->open_and_lock(control_socket) ? std::move(store) : nullptr;
}

MemberStore::~MemberStore() {
  if (lock_ >= 0) close(lock_);
}

// False to be called again. Somebody may remove the file between our making and our locking it.
bool MemberStore::open_and_lock(const std::string& control_socket) {
  const std::string place = place_beside(control_socket, "members");
  file_ = place + ".txt";
  lock_file_ = place + ".lock";
  const int fd = open(lock_file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    throw KernelError(fmt::format("{} cannot be opened: {}", lock_file_, std::strerror(errno)));
  }
  struct stat locked {};
  struct stat named {};
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &locked) == 0 &&
      stat(lock_file_.c_str(), &named) == 0 && locked.st_ino == named.st_ino) {
    lock_ = fd;
    return true;
  }
  close(fd);
  return false;
}

MemberBook MemberStore::load() const {
  std::ifstream file(file_);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  return book_in(text.str(), origin_here());
}

void MemberStore::save(const MemberBook& book) const {
  replace_file(file_, to_text(book, origin_here()), Survives::processes);
}

void MemberStore::remove() const {
  unlink(file_.c_str());
  unlink((file_ + ".new").c_str());
  unlink(lock_file_.c_str());
}

std::string MemberStore::version() const {
  return file_version(file_);
}

}  // namespace swnat::rules
