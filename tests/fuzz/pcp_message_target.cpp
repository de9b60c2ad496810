// The messages of PCP and NAT-PMP, which any host of a tenant sends: any bytes are a request, are
// refused or are ignored, and what answers them is a message of its protocol.
#include <vector>

#include "swnat/address_text.h"
#include "tests/fuzz/target.h"
#include "tools/pcp/natpmp_message.h"
#include "tools/pcp/pcp_message.h"

namespace swnat::fuzz {
namespace {

using namespace swnat::pcp;
using std::chrono::seconds;

void check_response(View request, const Octets& response, Result result) {
  require(response.size() >= 24 && response.size() <= longest_message, "a response has its size");
  require(response.size() % 4 == 0, "a response is of whole words");
  require(response[0] == pcp_version, "a response is of our version");
  require(response[1] == (request[1] | 0x80), "a response is one to the request's opcode");
  require(response[3] == std::uint8_t(result), "a response has the result");
}

void try_pcp(View message, const IpAddress& source) {
  const ReadRequest read = read_request(message, source);
  if (read.is_ignored) {
    require(message.size() < 2 || (message[1] & 0x80) != 0, "only responses are ignored");
    return;
  }
  const Request& request = read.request;
  if (read.result != Result::success) {
    check_response(message, error_response(message, read.result, seconds(30), 1), read.result);
    return;
  }
  require(request.client == source, "the client is who sent it");
  require(message.size() <= longest_message, "a request has its size");
  const IpEndpoint external{source, 4000};
  if (request.opcode == Opcode::map) {
    check_response(message, map_response(request, external, seconds(30), 1), Result::success);
  } else if (request.opcode == Opcode::peer) {
    check_response(message, peer_response(request, external, seconds(30), 1), Result::success);
  } else {
    check_response(message, announce_response(1), Result::success);
  }
}

void try_natpmp(View message) {
  const auto request = read_natpmp_request(message);
  if (!request) return;
  require(request->opcode == message[1], "the opcode is the one that was sent");
  const Octets response =
      natpmp_map_response(*request, NatPmpResult::success, 4000, seconds(30), 1);
  require(response.size() == 16, "a response has its size");
}

}  // namespace
}  // namespace swnat::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Of its own length, so that reading beyond it is seen.
  const std::vector<std::uint8_t> message(data, data + size);
  swnat::fuzz::try_natpmp(message);
  // Also as if it came from the host that it names.
  swnat::fuzz::try_pcp(message, *swnat::parse_address("10.0.0.2"));
  if (size >= 24) swnat::fuzz::try_pcp(message, swnat::pcp::read_address(message, 8));
  return 0;
}
