#include "tools/pcp/saved_book.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "tools/pcp/event_loop.h"
#include "tools/pcp/log.h"

namespace swnat::pcp {

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

Json SavedBook::read(const std::string& boot) const {
  std::ifstream file(path_);
  if (!file) return nullptr;
  std::stringstream text;
  text << file.rdbuf();
  Json json = Json::parse(text.str(), nullptr, false);
  if (!json.is_object() || !json.contains("book")) {
    log(Priority::warning, "{}: is damaged, so clients are told to ask again", path_);
    return nullptr;
  }
  return text_in(json, "boot") == boot ? json["book"] : Json(nullptr);
}

void SavedBook::write(const Json& book, const std::string& boot) {
  const std::string text =
      Json{{"boot", boot}, {"book", book}}.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string next = path_ + ".next";
  const File file(
      ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  const bool is_written =
      file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      std::rename(next.c_str(), path_.c_str()) == 0;
  if (!is_written && std::exchange(is_writable_, false)) {
    log(Priority::error, "{}: cannot be written ({}): after a restart clients have to ask again",
        path_, std::strerror(errno));
  }
  if (is_written) is_writable_ = true;
}

}  // namespace swnat::pcp
