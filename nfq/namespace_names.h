// Names of namespaces, each looked up once.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "rules/config/config.h"

namespace swnat::nfq {

class NamespaceNames {
 public:
  explicit NamespaceNames(std::shared_ptr<const rules::Config> config)
      : config_(std::move(config)) {}

  const std::string& operator[](NamespaceId id) {
    const auto [place, is_new] = names_.try_emplace(id);
    if (is_new) place->second = rules::namespace_name(*config_, id);
    return place->second;
  }

 private:
  std::shared_ptr<const rules::Config> config_;
  std::unordered_map<NamespaceId, std::string> names_;
};

}  // namespace swnat::nfq
