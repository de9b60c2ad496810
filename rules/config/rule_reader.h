// Reading a [[drop]], a [[redirect]] and a [[forward]].
#pragma once

#include "rules/config/draft.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

DropDraft read_drop(TableReader& table);
RedirectDraft read_redirect(TableReader& table);
ForwardDraft read_forward(TableReader& table, std::uint32_t max_sessions);

}  // namespace swnat::rules
