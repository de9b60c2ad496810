// Reading a [[namespace]] table.
#pragma once

#include "rules/config/draft.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

NamespaceDraft read_namespace(TableReader& table, std::uint32_t max_sessions);

}  // namespace swnat::rules
