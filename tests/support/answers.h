// Whoever takes the ICMP answers of a queue.
#pragma once

#include <vector>

#include "nfq/icmp_answers.h"
#include "tests/support/packets.h"

namespace swnat::test {

struct Answer {
  Bytes bytes;
  std::uint32_t fwmark;
};

class Answers final : public nfq::AnswerSink {
 public:
  bool send(std::span<const std::uint8_t> answer, std::uint32_t fwmark) override {
    if (is_full) return false;
    sent.push_back({{answer.begin(), answer.end()}, fwmark});
    return true;
  }

  bool is_full = false;
  std::vector<Answer> sent;
};

}  // namespace swnat::test
