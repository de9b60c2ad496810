#include "rules/nft/sets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace swnat::rules {

std::string NftSets::set(std::string name, std::string_view type,
                         std::vector<std::string> elements) {
  return add({"set", std::move(name), std::string(type), std::move(elements)});
}

std::string NftSets::map(std::string name, std::string_view type,
                         std::vector<std::string> elements) {
  return add({"map", std::move(name), std::string(type), std::move(elements)});
}

std::string NftSets::add(Named one) {
  std::string reference = "@" + one.name;
  const bool is_new = std::none_of(all_.begin(), all_.end(),
                                   [&](const Named& each) { return each.name == one.name; });
  if (is_new) all_.push_back(std::move(one));
  return reference;
}

std::string NftSets::declared() const {
  std::string text;
  for (const Named& each : all_) {
    text += fmt::format("\t{} {} {{ {}; }}\n", each.kind, each.name, each.type);
  }
  return text;
}

std::string NftSets::flushed() const {
  std::string text;
  for (const Named& each : all_) {
    text += fmt::format("flush {} inet swnat {}\n", each.kind, each.name);
  }
  return text;
}

std::string NftSets::filled() const {
  std::string text;
  for (const Named& each : all_) {
    if (each.elements.empty()) continue;
    text += fmt::format("\t{} {} {{ {}; elements = {{ {} }} }}\n", each.kind, each.name, each.type,
                        fmt::join(each.elements, ", "));
  }
  return text;
}

}  // namespace swnat::rules
