// Reading a [[namespace]] table, and what [nat] says of every namespace.
#pragma once

#include "rules/config/draft.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

// What both tables may have. Returns the line of the port block, if there is one.
std::optional<std::uint32_t> read_limits(TableReader& table, std::uint32_t max_sessions,
                                         NamespacePolicy& policy);

// `limits` holds where it has none of its own.
NamespaceDraft read_namespace(TableReader& table, std::uint32_t max_sessions,
                              const NamespacePolicy& limits);

}  // namespace swnat::rules
