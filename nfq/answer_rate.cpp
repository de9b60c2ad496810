#include "nfq/answer_rate.h"

namespace swnat::nfq {

AnswerRate::AnswerRate(const ShareLimits& limits)
    : size_(limits.all), recent_(limits.all, limits), sent_(limits.all) {}

bool AnswerRate::take(NamespaceId namespace_id, Time now) {
  for (Shares::Item oldest = recent_.oldest();
       oldest != Shares::none && now - Time(sent_[oldest]) >= window; oldest = recent_.oldest()) {
    recent_.remove(oldest);
  }
  if (recent_.displaced_by(namespace_id) != Shares::none) return false;
  recent_.add(next_, namespace_id);
  sent_[next_] = now.count();
  next_ = next_ + 1 == size_ ? 0 : next_ + 1;
  return true;
}

}  // namespace swnat::nfq
