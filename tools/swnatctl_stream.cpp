#include "tools/swnatctl_stream.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "tools/swnatctl_output.h"

namespace swnat::ctl {
namespace {

// "key": value, of what is not the list.
std::string members(const Json& document, std::string_view format) {
  std::string text;
  for (const auto& [key, value] : document.items()) {
    text += fmt::format(fmt::runtime(format), Json(key).dump(), value.dump());
  }
  return text;
}

}  // namespace

void write_list(Answer& answer, const char* list, JsonForm form,
                const std::function<void(Json& item)>& change) {
  const bool is_document = form == JsonForm::document;
  bool is_first = true;
  std::string begin =
      fmt::format("{{\n{}  \"{}\": [", members(answer.document(), "  {}: {},\n"), list);
  while (answer.next()) {
    if (is_document) write(is_first ? begin + "\n    " : ",\n    ");
    is_first = false;
    if (change) {
      Json item = answer.item();
      change(item);
      write(item.dump());
    } else {
      write(answer.line());
    }
    if (!is_document) write("\n");
  }
  if (is_document) {
    write(is_first ? begin + "]" : "\n  ]");
    write(members(answer.end(), ",\n  {}: {}") + "\n}\n");
  }
  flush_output();
}

}  // namespace swnat::ctl
