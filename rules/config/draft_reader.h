// Reading all tables of the configuration file.
#pragma once

#include "rules/config/draft.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

Draft read_draft(const toml::table& table, Faults& faults);

}  // namespace swnat::rules
