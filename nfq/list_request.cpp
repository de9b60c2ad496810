#include "nfq/list_request.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "nfq/error.h"
#include "nfq/session_request.h"

namespace swnat::nfq {

ListRequest requested_list(const nlohmann::ordered_json& request, const rules::Config& config,
                           SortKey (*sort_key)(std::string_view text)) {
  ListRequest wanted{.pattern = requested_sessions(request, config)};
  if (const auto sort = request.find("sort"); sort != request.end()) {
    if (!sort->is_string()) throw Error("'sort' must be text");
    wanted.order = SortOrder{sort_key(sort->get_ref<const std::string&>())};
  }
  if (const auto reverse = request.find("reverse"); reverse != request.end()) {
    if (!reverse->is_boolean()) throw Error("'reverse' must be true or false");
    if (!wanted.order) throw Error("'reverse' is of use only with 'sort'");
    wanted.order->is_reversed = reverse->get<bool>();
  }
  if (const auto limit = request.find("limit"); limit != request.end()) {
    const bool is_right = limit->is_number_unsigned() && *limit != 0;
    const auto count = is_right ? limit->get<std::uint64_t>() : 0;
    if (!is_right) throw Error("'limit' must be a number from 1 on");
    if (wanted.order && count > ListRequest::sorted_max) {
      throw Error(fmt::format("{} are more than can be sorted (allowed: a limit of 1 to {})", count,
                              ListRequest::sorted_max));
    }
    wanted.limit = count;
  }
  return wanted;
}

}  // namespace swnat::nfq
