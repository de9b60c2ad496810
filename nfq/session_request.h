// Which sessions a request of the control protocol means.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "rules/config/config.h"
#include "swnat/session_pattern.h"

namespace swnat::nfq {

// By the keys "namespace", "protocol", "internal", "external", "remote", "state", "idle" and "age",
// each text and optional (session_request.cpp has what they may be). Throws Error, which says what
// is wrong and what is allowed.
SessionPattern requested_sessions(const nlohmann::ordered_json& request,
                                  const rules::Config& config);

}  // namespace swnat::nfq
