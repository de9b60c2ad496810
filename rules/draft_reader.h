// Reading all tables of the configuration file.
#pragma once

#include "rules/draft.h"
#include "rules/toml_reader.h"

namespace swnat::rules {

Draft read_draft(const toml::table& file, Faults& faults);

}  // namespace swnat::rules
