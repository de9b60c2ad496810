// The steps of a trace as JSON, and what is told of the engine's and of the kernel's.
#pragma once

#include <string>
#include <string_view>

#include "nfq/control_lines.h"
#include "rules/config/config.h"
#include "rules/routes/route_lookup.h"
#include "swnat/outlook.h"

namespace swnat::nfq {

class TraceSteps {
 public:
  enum class Result : std::uint8_t { ok, stop, fault, unknown };

  // `more` are its other members.
  void add(std::string_view step, Result result, std::string_view text,
           const Json& more = Json::object());
  // What was added last turns out to decide the outcome.
  void stop_last();
  const Json& json() const { return steps_; }

 private:
  Json steps_ = Json::array();
};

void tell_outbound(TraceSteps& steps, const rules::Config& config, const Question& question,
                   const OutboundOutlook& outlook);
void tell_inbound(TraceSteps& steps, const rules::Config& config, const Question& question,
                  const InboundOutlook& outlook);

std::string_view name_of(rules::RouteKind kind);
std::string route_text(const rules::RouteQuestion& asked, const rules::RouteAnswer& answer);
Json route_data(const rules::RouteQuestion& asked, const rules::RouteAnswer& answer);

}  // namespace swnat::nfq
