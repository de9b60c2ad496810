// Which sessions or mappings a request of the control protocol wants listed, in which order, and
// how many.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "nfq/sort_order.h"
#include "rules/config/config.h"
#include "swnat/session_pattern.h"

namespace swnat::nfq {

struct ListRequest {
  // Sorted lists are kept in memory, for each client.
  static constexpr std::size_t sorted_max = 4096;

  SessionPattern pattern = {};
  std::optional<SortOrder> order = {};  // nothing: as they are met
  std::optional<std::size_t> limit = {};

  std::size_t kept() const { return limit.value_or(sorted_max); }
};

// By the keys that requested_sessions() reads, and "sort", text, "reverse", true or false, and
// "limit", a number. `sort_key`: what the text means. Throws Error, which says what is allowed.
ListRequest requested_list(const nlohmann::ordered_json& request, const rules::Config& config,
                           SortKey (*sort_key)(std::string_view text));

}  // namespace swnat::nfq
