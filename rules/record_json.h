// A record as text, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rules/record.h"

namespace swnat::rules {

// Which network namespace of which boot a record belongs to.
struct RecordOrigin {
  std::string boot_id;
  std::uint64_t namespace_cookie = 0;
};

std::string to_json(const Record& record, const RecordOrigin& origin);

// nullopt for text that is no record, or one of another origin.
std::optional<Record> record_from_json(const std::string& text, const RecordOrigin& origin);

}  // namespace swnat::rules
