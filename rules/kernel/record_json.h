// A record as text, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

#include "rules/kernel/record.h"

namespace swnat::rules {

// Which network namespace of which boot a record belongs to.
struct RecordOrigin {
  std::string boot_id;
  std::uint64_t namespace_cookie = 0;
};

std::string to_json(const Record& record, const RecordOrigin& origin);

// Text that is no record. What it says is for people.
class RecordDamage : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// nullopt for a record of another origin. Throws RecordDamage.
std::optional<Record> record_from_json(const std::string& text, const RecordOrigin& origin);

}  // namespace swnat::rules
