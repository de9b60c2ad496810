// A [[drop]] or a [[forward]] that stands in no file, beside a configuration: read and checked as
// if it stood in that one's file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "rules/config/config.h"

namespace swnat::rules {

// A rule's keys as the file has them, with their values.
using RuleKeys = std::vector<std::pair<std::string, std::variant<std::string, std::int64_t, bool>>>;

// The text has a line for each of the first faults: what is wrong, and what is allowed.
class RuleFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct LoneForward {
  std::string namespace_name;
  ForwardRule rule;

  friend bool operator==(const LoneForward&, const LoneForward&) = default;
};

struct LoneDrop {
  std::uint8_t protocol = 6;
  PortRange ports = {1, 65535};
  std::optional<std::string> namespace_name = {};  // nothing: all
  std::vector<DropRule> pieces = {};               // a rule for a range is one for each piece of it

  friend bool operator==(const LoneDrop&, const LoneDrop&) = default;
};

// `others`: keys that may stand beside the rule's own, for who is told which are allowed; they are
// not among `keys`. Throw RuleFault.
LoneForward read_lone_forward(const RuleKeys& keys, const Config& config,
                              std::span<const std::string_view> others = {});
LoneDrop read_lone_drop(const RuleKeys& keys, const Config& config,
                        std::span<const std::string_view> others = {});

// The place of a rule among others, and what is wrong with it.
struct LoneFault {
  std::size_t place = 0;
  std::string what;
};

// Gives rules that were read beside another configuration the namespaces that their names mean in
// this one. Those with a fault, which are told, stay as they were. No two forwards may be of one
// protocol and external endpoint.
std::vector<LoneFault> fit_to(const Config& config, std::span<LoneForward> rules);
std::vector<LoneFault> fit_to(const Config& config, std::span<LoneDrop> rules);

}  // namespace swnat::rules
