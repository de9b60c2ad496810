// Words that swnatctl's options take, for who presses Tab.
#pragma once

#include "rules/terminal/completion.h"

namespace swnat::ctl {

// Of what the daemon understands; names of namespaces are the running daemon's, if there is one and
// it answers at once.
rules::Words value_words(const rules::ValueQuestion& question);

}  // namespace swnat::ctl
