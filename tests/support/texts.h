// How doctest shows the engine's values in failures. To be seen wherever they are compared.
#pragma once

#include <doctest/doctest.h>

#include "engine/session/session.h"
#include "engine/session/tcp_state.h"
#include "swnat/address.h"
#include "swnat/reason.h"

namespace swnat {

doctest::String toString(Reason reason);
doctest::String toString(SessionState state);
doctest::String toString(TcpEffect effect);
doctest::String toString(const Endpoint<Ipv4Address>& endpoint);
doctest::String toString(const Endpoint<Ipv6Address>& endpoint);

}  // namespace swnat
