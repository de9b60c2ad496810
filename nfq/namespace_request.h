// Which namespaces a request of the control protocol means.
#pragma once

#include <string_view>
#include <vector>

#include "rules/config/config.h"
#include "swnat/policy.h"

namespace swnat::nfq {

// Of a name, a range's name (all its members but those that have a [[namespace]] of their own), a
// member like vpn-1000, members from one to another like vpn-1000-1099, or a glob, in which *
// stands for any text and ? for a character. Sorted and apart. Throws Error, which says what is
// allowed.
std::vector<NamespaceRange> requested_namespaces(std::string_view text,
                                                 const rules::Config& config);
// The only one that is meant: by a packet, or a session. Throws as requested_namespaces() does, and
// for several.
NamespaceId one_namespace(std::string_view text, const rules::Config& config);

}  // namespace swnat::nfq
