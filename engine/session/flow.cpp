#include "engine/session/flow.h"

#include "engine/wire/checksum.h"

namespace swnat {

template <class Family>
void set_deltas(Session<Family>& session) {
  const Leg<Family>& in = session.inside;
  const Leg<Family>& out = session.outside;
  const std::uint64_t addresses_in = Family::sum(in.local) + Family::sum(in.remote);
  const std::uint64_t addresses_out = Family::sum(out.local) + Family::sum(out.remote);
  const std::uint64_t ports_in =
      std::uint64_t{__builtin_bswap16(in.local_port)} + __builtin_bswap16(in.remote_port);
  const std::uint64_t ports_out =
      std::uint64_t{__builtin_bswap16(out.local_port)} + __builtin_bswap16(out.remote_port);
  session.address_delta = delta_of(addresses_in, addresses_out);
  const bool ports_alone =
      session.protocol == Family::icmp_protocol && !Family::icmp_covers_addresses;
  session.transport_delta = ports_alone
                                ? delta_of(ports_in, ports_out)
                                : delta_of(addresses_in + ports_in, addresses_out + ports_out);
}

// A router on the way is seen as itself. The remote endpoint is seen as the internal host knows it,
// which a redirect may have changed.
template <class Family>
ErrorRewrite<Family> inbound_error_rewrite(const Session<Family>& session,
                                           const Parsed<Family>& parsed) {
  const Leg<Family>& leg = session.inside;
  return {parsed.source == session.outside.remote ? leg.remote : parsed.source,
          leg.local,
          {leg.local, leg.remote, leg.local_port, leg.remote_port,
           static_cast<ChecksumDelta>(~session.address_delta),
           static_cast<ChecksumDelta>(~session.transport_delta)}};
}

// The error's sender may be any router inside: outside it is seen as the session's external
// address.
template <class Family>
ErrorRewrite<Family> outbound_error_rewrite(const Session<Family>& session) {
  const Leg<Family>& leg = session.outside;
  return {leg.local,
          leg.remote,
          {leg.remote, leg.local, leg.remote_port, leg.local_port, session.address_delta,
           session.transport_delta}};
}

#define SWNAT_INSTANTIATE(Family)                                             \
  template void set_deltas(Session<Family>&);                                 \
  template ErrorRewrite<Family> inbound_error_rewrite(const Session<Family>&, \
                                                      const Parsed<Family>&); \
  template ErrorRewrite<Family> outbound_error_rewrite(const Session<Family>&);
SWNAT_INSTANTIATE(Ipv4)
SWNAT_INSTANTIATE(Ipv6)
#undef SWNAT_INSTANTIATE

}  // namespace swnat
