// Metrics of an engine with a few namespaces.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "nfq/metrics.h"
#include "tests/support/gateway.h"

namespace swnat::test {

inline nfq::Metrics small_metrics(const Gateway& gateway) {
  auto config = std::make_shared<rules::Config>();
  config->namespaces.resize(1);
  config->namespaces[0].name = "blue";
  config->namespaces[0].policy.first = config->namespaces[0].policy.last = blue;
  config->singles_by_fwmark = {0};
  nfq::DaemonNumbers numbers;
  numbers.config = std::move(config);
  return {gateway.engine, std::move(numbers)};
}

inline std::string text_of(nfq::Metrics metrics) {
  std::string text;
  while (metrics.append_piece(text)) {
  }
  return text;
}

}  // namespace swnat::test
