// Reading a [[drop]], a [[redirect]] and a [[forward]].
#pragma once

#include "rules/config/draft.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

DropDraft read_drop(const TableReader& table);
RedirectDraft read_redirect(const TableReader& table);
ForwardDraft read_forward(const TableReader& table, std::uint32_t max_sessions);

}  // namespace swnat::rules
