// JSON as the daemon sends it, its keys in order.
#pragma once

#include <nlohmann/json.hpp>

namespace swnat::ctl {

using Json = nlohmann::ordered_json;

}  // namespace swnat::ctl
