// A run as the JSON document that --json prints and --from reads.
#pragma once

#include <nlohmann/json.hpp>

#include "tools/bench/run.h"

namespace swnat::bench {

using Json = nlohmann::ordered_json;

Json document_of(const Run& run);

// Throws Json::exception if it is none. Bars are not read: they follow from the rows.
Run run_of(const Json& document);

}  // namespace swnat::bench
