// Reading [log].
#pragma once

#include "rules/config/log_config.h"
#include "rules/config/toml_reader.h"

namespace swnat::rules {

// Nothing if the file has no such table.
std::optional<LogConfig> read_log(TableReader& file);

}  // namespace swnat::rules
