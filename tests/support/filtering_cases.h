// Whom each filtering lets in beside the remote that was asked (RFC 4787 section 5).
#pragma once

#include "swnat/policy.h"

namespace swnat::test {

struct FilteringCase {
  const char* name;
  Filtering filtering;
  bool other_port_passes;  // of the address that was asked
  bool stranger_passes;    // of another address
};
inline constexpr FilteringCase filtering_cases[] = {
    {"endpoint-independent", Filtering::endpoint_independent, true, true},
    {"address-dependent", Filtering::address_dependent, true, false},
    {"address-and-port-dependent", Filtering::address_and_port_dependent, false, false},
};

}  // namespace swnat::test
