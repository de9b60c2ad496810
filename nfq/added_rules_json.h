// Rules in JSON: as answers of the control protocol tell them, and as the file of the added ones
// keeps them.
#pragma once

#include <string>
#include <string_view>

#include "nfq/added_rules.h"
#include "nfq/control_lines.h"

namespace swnat::nfq {

// What is told of a forward or a drop, of the file or added.
Json json_of(const ForwardRule& rule, std::string_view namespace_name);
Json json_of(const DropRule& rule, std::string_view namespace_name);  // empty: all

// With where it is from, whose it is and how long it stays.
Json json_of(const AddedForward& one, Time now);
Json json_of(const AddedDrop& one, Time now);

// The rule's keys as the file of the configuration has them. Throws Error for values of other
// kinds.
rules::RuleKeys rule_keys(const Json& object);

// All rules, with a name of this start of the machine: the clock of their ends is its alone.
std::string kept_text(const AddedRules& all, std::uint64_t boot);
// Throws Error, which says why the text is of no use. What it holds was checked when it was kept,
// and is to be checked again beside the configuration of now: their namespaces are not known yet.
AddedRules kept_rules(std::string_view text, std::uint64_t boot);

}  // namespace swnat::nfq
