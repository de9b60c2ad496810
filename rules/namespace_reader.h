// Reading a [[namespace]] table.
#pragma once

#include "rules/draft.h"
#include "rules/toml_reader.h"

namespace swnat::rules {

NamespaceDraft read_namespace(const TableReader& table, std::uint32_t max_sessions);

}  // namespace swnat::rules
