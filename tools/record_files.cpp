#include "tools/record_files.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "rules/text/utc_text.h"
#include "tools/swnatctl_connection.h"

namespace swnat::ctl {
namespace {

constexpr unsigned bytes_at_once = 1 << 20;
constexpr std::string_view first_words = R"({"time":")";
// A file's first line may be the rest of one that was cut; not many are.
constexpr int lines_looked_at = 100;

struct Close {
  void operator()(gzFile file) const { gzclose(file); }
};
using Reader = std::unique_ptr<gzFile_s, Close>;

[[noreturn]] void fail(const std::string& path, gzFile file) {
  int error = Z_OK;
  const char* const text = file == nullptr ? nullptr : gzerror(file, &error);
  const bool is_ours = text == nullptr || error == Z_ERRNO;
  throw Error(fmt::format("{}: {}", path, is_ours ? std::strerror(errno) : text));
}

// Whether a compressed file that ended did so where it was meant to.
bool is_whole(gzFile file) {
  int error = Z_OK;
  gzerror(file, &error);
  return error == Z_OK;
}

// Also plain files: zlib hands these on as they are.
Reader open(const std::string& path) {
  Reader reader(gzopen(path.c_str(), "rb"));
  if (!reader) fail(path, nullptr);
  gzbuffer(reader.get(), bytes_at_once);
  return reader;
}

bool is_sibling(const std::string& name, const std::string& base) {
  return name.starts_with(base) &&
         (name.size() == base.size() || name[base.size()] == '.' || name[base.size()] == '-');
}

enum class Content { records, none, other };

struct Look {
  Content content = Content::none;
  std::string time;  // of the first record
};

Look look_at(const std::string& path) {
  Look look;
  int lines = 0;
  read_lines(path, [&](std::string_view line) {
    look.content = Content::other;
    if (line.starts_with(first_words)) {
      look = {Content::records,
              std::string(line.substr(first_words.size(), rules::utc_text_length))};
    }
    return look.content == Content::other && ++lines < lines_looked_at;
  });
  return look;
}

}  // namespace

RecordFiles find_records(const std::string& file) {
  namespace fs = std::filesystem;
  const fs::path whole(file);
  const fs::path folder = whole.has_parent_path() ? whole.parent_path() : ".";
  const std::string base = whole.filename();
  std::error_code error;
  std::vector<std::pair<std::string, std::string>> found;  // time, path
  RecordFiles files;
  bool is_there = false;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!is_sibling(entry->path().filename(), base)) continue;
    std::error_code none;
    if (!entry->is_regular_file(none)) continue;
    is_there = true;
    const std::string path = entry->path();
    try {
      const Look look = look_at(path);
      if (look.content == Content::records) found.emplace_back(look.time, path);
      if (look.content == Content::other) files.skipped.push_back(path);
    } catch (const Error& fault) {
      files.faults.emplace_back(fault.what());
    }
  }
  if (error) throw Error(fmt::format("{}: {}", folder.string(), error.message()));
  if (!is_there) throw Error(fmt::format("{}: there is no such log", file));
  std::ranges::sort(found);
  for (auto& [time, path] : found) files.paths.push_back(std::move(path));
  return files;
}

std::uint64_t read_lines(const std::string& path,
                         const std::function<bool(std::string_view)>& take) {
  const Reader reader = open(path);
  std::string bytes(longest_line + bytes_at_once, '\0');
  std::size_t kept = 0;  // the beginning of a line whose end is not read yet
  bool is_skipping = false;
  std::uint64_t too_long = 0;
  for (;;) {
    const int size = gzread(reader.get(), bytes.data() + kept, bytes_at_once);
    if (size < 0) fail(path, reader.get());
    // The last line has no end while it is being written, or if it was cut.
    if (size == 0 && is_whole(reader.get())) return too_long;
    if (size == 0) fail(path, reader.get());
    std::string_view rest(bytes.data(), kept + static_cast<std::size_t>(size));
    for (std::size_t end = rest.find('\n', kept); end != std::string_view::npos;
         end = rest.find('\n')) {
      if (!is_skipping && end > longest_line) ++too_long;
      if (!is_skipping && end <= longest_line && !take(rest.substr(0, end))) return too_long;
      is_skipping = false;
      rest.remove_prefix(end + 1);
    }
    if (!is_skipping && rest.size() > longest_line) {
      ++too_long;
      is_skipping = true;
    }
    kept = is_skipping ? 0 : rest.size();
    std::memmove(bytes.data(), rest.data(), kept);
  }
}

}  // namespace swnat::ctl
