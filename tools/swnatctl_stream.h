// Answers as JSON, written as they come: of a list no more than one thing is kept.
#pragma once

#include <functional>
#include <string_view>

#include "tools/swnatctl_answer.h"

namespace swnat::ctl {

enum class JsonForm {
  document,  // one document, whose list has each thing on a line of its own
  lines,     // each thing on a line, and nothing around
};

// Writes what is listed under this key. An answer that is cut leaves no whole document, so that
// nobody takes it for one. `change` is called with each thing before it is written, if it is set.
// Throws as Answer::next(), and OutputError.
void write_list(Answer& answer, const char* list, JsonForm form,
                const std::function<void(Json& item)>& change = {});

}  // namespace swnat::ctl
