// The model's fragments: those behind the first one share its fate.
#include "tests/property/model.h"

namespace swnat::property {
namespace {

std::pair<NamespaceId, Bytes> name_of_datagram(const Given& given) {
  return {given.direction == Direction::inbound ? 0 : given.tenant, datagram_of(given.bytes)};
}

}  // namespace

// A copy of a first fragment leaves as it did, for the others may be on their way.
void Model::remember_first(const Given& given) {
  const auto [known, is_new] = fates_.try_emplace(
      name_of_datagram(given), Fate{seen_->reason, seen_->tenant, given.bytes, seen_->bytes});
  if (is_new) return;
  const bool is_same_way = known->second.reason == seen_->reason &&
                           read(known->second.left).ends == read(seen_->bytes).ends;
  if (is_same_way && datagram_of(known->second.left) != datagram_of(seen_->bytes)) {
    throw Disagreement("a first fragment that comes twice leaves as another datagram");
  }
  known->second = {seen_->reason, seen_->tenant, given.bytes, seen_->bytes};
}

void Model::judge_later(const Given& given) {
  const bool is_served = is_v6(read_addresses(given.bytes).source.address)
                             ? !policy_.external.v6.empty()
                             : !policy_.external.v4.empty();
  const auto known = fates_.find(name_of_datagram(given));
  const std::string_view wanted = !is_served              ? "no_external_address"
                                  : known == fates_.end() ? "fragment_waits"
                                                          : known->second.reason;
  if (seen_->reason != wanted) {
    throw Disagreement("the engine says " + std::string(seen_->reason) +
                       " of a later fragment, the model " + std::string(wanted));
  }
  Bytes expected = given.bytes;
  NamespaceId receiver = given.tenant;
  if (known != fates_.end() && known->second.left != known->second.came) {
    const Ends ends = read_addresses(known->second.left);
    rewrite_later(expected, ends.source.address, ends.destination.address);
    copy_identification(expected, known->second.left);
    receiver = known->second.receiver;
  }
  if (with_one_header_zero(seen_->bytes) != with_one_header_zero(expected)) {
    throw Disagreement("a later fragment leaves otherwise than the first");
  }
  if (seen_->tenant != receiver) {
    throw Disagreement("a later fragment reaches another namespace than the first");
  }
}

}  // namespace swnat::property
