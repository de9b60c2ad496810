#include "engine/session/tcp_state.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/wire/parse.h"
#include "tests/support/packets.h"
#include "tests/support/tcp_steps.h"
#include "tests/support/texts.h"

using namespace swnat;
using namespace swnat::test;
using namespace swnat::test::tcp_steps;

TEST_CASE("tcp_state: rfc5382_req2 opening") {
  run_all({
      {"three-way handshake", opened({})},
      {"a SYN sent again keeps it opening",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established}}},
      {"simultaneous open, from inside first",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, syn, irs, 0, 0, none, tcp_syn_internal},
        {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established}}},
      {"simultaneous open, from outside first",
       {{remote, syn, irs, 0, 0, refresh, tcp_syn_remote},
        {internal, syn, iss, 0, 0, refresh, tcp_syn_remote},
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established},
        {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_established},
        {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}}},
      {"simultaneous open, and the remote's answer is lost",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, syn, irs, 0, 0, none, tcp_syn_internal},
        {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_internal},
        {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established},
        {remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_fin_remote}}},
      {"opened from outside",
       {{remote, syn, irs, 0, 0, refresh, tcp_syn_remote},
        {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_remote},
        {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established}}},
      {"without a SYN from the other side it is not established",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {internal, ack, iss + 1, irs + 1, 0, refresh, tcp_syn_internal}}},
      {"data and acknowledgments keep it established",
       opened({{internal, ack, iss + 1, irs + 1, 1000, refresh, tcp_established},
               {remote, ack, irs + 1, iss + 1001, 1400, refresh, tcp_established}})},
  });
}

TEST_CASE("tcp_state: closing takes both FINs") {
  run_all({
      {"a half-closed connection lives on, internal side first",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, ack, irs + 1, iss + 2, 0, refresh, tcp_fin_internal},
               {remote, ack, irs + 1, iss + 2, 1000, refresh, tcp_fin_internal},
               {internal, ack, iss + 2, irs + 1001, 0, refresh, tcp_fin_internal}})},
      {"a half-closed connection lives on, remote side first",
       opened({{remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_fin_remote},
               {internal, ack, iss + 1, irs + 2, 1000, refresh, tcp_fin_remote},
               {remote, ack, irs + 2, iss + 1001, 0, refresh, tcp_fin_remote}})},
      {"a FIN sent again changes nothing",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}})},
      {"both FINs close, and the last acknowledgment is the end",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing},
               {internal, ack, iss + 2, irs + 2, 0, closed, tcp_closing}})},
      {"remote side first", opened({{remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_fin_remote},
                                    {internal, fin_ack, iss + 1, irs + 2, 0, refresh, tcp_closing},
                                    {remote, ack, irs + 2, iss + 2, 0, closed, tcp_closing}})},
      {"crossing FINs end with the second acknowledgment",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_closing},
               {internal, ack, iss + 2, irs + 2, 0, refresh, tcp_closing},
               {remote, ack, irs + 2, iss + 2, 0, closed, tcp_closing}})},
      {"a FIN that carries data",
       opened({{internal, fin_ack, iss + 1, irs + 1, 500, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 502, 300, refresh, tcp_closing},
               {internal, ack, iss + 502, irs + 302, 0, closed, tcp_closing}})},
      {"an acknowledgment from the side that closed last is not the end",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing},
               {remote, ack, irs + 2, iss + 2, 0, refresh, tcp_closing},
               {internal, ack, iss + 2, irs + 2, 0, closed, tcp_closing}})},
      {"a FIN outside the window closes nothing",
       opened({{remote, fin_ack, irs + 500'000, iss + 1, 0, none, tcp_established},
               {internal, fin_ack, iss + 500'000, irs + 1, 0, none, tcp_established},
               {remote, fin_ack, irs - 500'000, iss + 1, 0, none, tcp_established}})},
      {"nor moves the window that a reset is measured by",
       opened({{remote, fin_ack, irs + 500'000, iss + 900'000, 0, none, tcp_established},
               {internal, rst, iss + 900'000, 0, 0, none, tcp_established},
               {internal, rst, iss + 1, 0, 0, closed, tcp_reset}})},
  });
}

TEST_CASE("tcp_state: a reset ends the connection only if it is in the window") {
  run_all({
      {"at the next number", opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset}})},
      {"from inside", opened({{internal, rst, iss + 1, 0, 0, closed, tcp_reset}})},
      {"with an acknowledgment",
       opened({{internal, rst_ack, iss + 1, irs + 1, 0, closed, tcp_reset}})},
      {"last number of the window",
       opened({{remote, rst, irs + 1 + window - 1, 0, 0, closed, tcp_reset}})},
      {"beyond the window, blind",
       opened({{remote, rst, irs + 1 + window + 1, 0, 0, none, tcp_established},
               {remote, rst, irs + 0x4000'0000, 0, 0, none, tcp_established},
               {remote, rst, irs + 0x8000'0000, 0, 0, none, tcp_established}})},
      {"before the window, blind",
       opened({{remote, rst, irs - 100'000, 0, 0, none, tcp_established},
               {internal, rst, iss - 100'000, 0, 0, none, tcp_established}})},
      {"after data that is on its way",
       opened({{remote, ack, irs + 1, iss + 1, 1400, refresh, tcp_established},
               {remote, rst, irs + 1401, 0, 0, closed, tcp_reset}})},
      {"after data that was acknowledged",
       opened({{remote, ack, irs + 1, iss + 1, 1400, refresh, tcp_established},
               {internal, ack, iss + 1, irs + 1401, 0, refresh, tcp_established},
               {remote, rst, irs + 1401 + window + 1, 0, 0, none, tcp_established},
               {remote, rst, irs + 1401, 0, 0, closed, tcp_reset}})},
      {"answering a SYN",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, rst_ack, 0, iss + 1, 0, closed, tcp_reset}}},
      {"answering another SYN than was sent, blind",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, rst_ack, 0, iss + 77'777, 0, none, tcp_syn_internal},
        {remote, rst, 0, 0, 0, none, tcp_syn_internal}}},
      {"of a client that does not want the answer to its SYN",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established},
        {internal, rst, iss + 1, 0, 0, closed, tcp_reset}}},
      {"half-closed", opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
                              {remote, rst, irs + 900'000, 0, 0, none, tcp_fin_internal},
                              {remote, rst, irs + 1, 0, 0, closed, tcp_reset}})},
  });
}

TEST_CASE("tcp_state: rfc5961 a blind segment does not move the windows") {
  constexpr std::uint32_t far = 0x4000'0000;
  run_all({
      {"then the end that it was sent to closes",
       opened({{remote, ack, irs + far, iss + far, 100, none, tcp_established},
               {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}})},
      {"only its sequence number is wrong",
       opened({{remote, ack, irs + far, iss + 9000, 100, none, tcp_established},
               {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}})},
      {"only its acknowledgment is wrong",
       opened({{remote, ack, irs + 1, iss + far, 100, none, tcp_established},
               {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}})},
      {"a SYN", opened({{remote, syn_ack, irs + far, iss + far, 0, none, tcp_established},
                        {internal, rst, iss + 1, 0, 0, closed, tcp_reset}})},
      {"after a reset it resumes nothing",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {remote, ack, irs + far, iss + far, 100, none, tcp_reset}})},
  });
}

TEST_CASE("tcp_state: a SYN may carry data that its answer acknowledges") {
  run_all({{"fast open",
            {{internal, syn, iss, 0, 500, refresh, tcp_syn_internal},
             {remote, syn_ack, irs, iss + 501, 0, refresh, tcp_established},
             {internal, fin_ack, iss + 501, irs + 1, 0, refresh, tcp_fin_internal}}}});
}

TEST_CASE("tcp_state: a window of zero still takes a reset at the next number") {
  Case c{"zero window", opened({{remote, rst, irs + 900, 0, 0, none, tcp_established},
                                {remote, rst, irs + 1, 0, 0, closed, tcp_reset}})};
  c.window_of_all = 0;
  run(c, 0);
}

TEST_CASE("tcp_state: rfc7323 the window of a reset is scaled as its receiver said") {
  const std::uint32_t unscaled_end = irs + 1 + window;
  Case scaled{"scaled by the internal side's 7",
              opened({{remote, rst, irs + 1 + (window << 7) + 1, 0, 0, none, tcp_established},
                      {remote, rst, unscaled_end + 1000, 0, 0, closed, tcp_reset}})};
  scaled.internal_scale = 7;
  scaled.remote_scale = 2;
  run(scaled, 0);
  Case other{"not by the sender's own",
             opened({{remote, rst, irs + 1 + (window << 2) + 1, 0, 0, none, tcp_established}})};
  other.internal_scale = 2;
  other.remote_scale = 7;
  run(other, 0);
  Case from_inside{
      "and the other way round",
      opened({{remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established},
              {internal, rst, iss + 1 + (window << 3) + 1, 0, 0, none, tcp_established},
              {internal, rst, iss + 1 + (window << 3) - 1, 0, 0, closed, tcp_reset}})};
  from_inside.internal_scale = 1;
  from_inside.remote_scale = 3;
  run(from_inside, 0);
}

TEST_CASE("tcp_state: rfc9293 a second connection between the same endpoints is followed") {
  constexpr std::uint32_t new_iss = 2'000'000'000;
  constexpr std::uint32_t new_irs = 3'000'000'000;
  const auto closes = [&](std::vector<Step> steps) {
    const std::vector<Step> end{
        {internal, ack, new_iss + 1, new_irs + 1, 0, refresh, tcp_established},
        {internal, fin_ack, new_iss + 1, new_irs + 1, 0, refresh, tcp_fin_internal},
        {remote, fin_ack, new_irs + 1, new_iss + 2, 0, refresh, tcp_closing},
        {internal, ack, new_iss + 2, new_irs + 2, 0, closed, tcp_closing}};
    steps.insert(steps.end(), end.begin(), end.end());
    return steps;
  };
  const Step again{internal, syn, new_iss, 0, 0, refresh, tcp_established};
  const Step answer{remote, syn_ack, new_irs, new_iss + 1, 0, refresh, tcp_established};
  run_all({
      {"retried while opening", closes({{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
                                        {internal, syn, new_iss, 0, 0, refresh, tcp_syn_internal},
                                        answer})},
      {"the first SYN is answered after all",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {internal, syn, new_iss, 0, 0, refresh, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established},
        {internal, rst, iss + 1, 0, 0, closed, tcp_reset},
        {internal, syn, new_iss, 0, 0, refresh, tcp_syn_internal},
        answer}},
      {"refused",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {internal, syn, new_iss, 0, 0, refresh, tcp_syn_internal},
        {remote, rst_ack, 0, new_iss + 1, 0, closed, tcp_reset}}},
      {"both ends lost an established one", closes(opened({again, answer}))},
      {"it is refused", opened({again, {remote, rst_ack, 0, new_iss + 1, 0, closed, tcp_reset}})},
      {"half-closed, from inside",
       closes(opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
                      {internal, syn, new_iss, 0, 0, refresh, tcp_fin_internal},
                      answer}))},
      {"half-closed, from outside",
       closes(opened({{remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_fin_remote},
                      {internal, syn, new_iss, 0, 0, refresh, tcp_fin_remote},
                      answer}))},
      {"from outside, which refreshes nothing before the answer",
       closes(opened({{remote, syn, new_irs, 0, 0, none, tcp_established},
                      {internal, syn_ack, new_iss, new_irs + 1, 0, refresh, tcp_syn_remote},
                      {remote, ack, new_irs + 1, new_iss + 1, 0, refresh, tcp_established}}))},
      {"the other end still has the old one and says so",
       opened({again,
               {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established},
               {internal, rst, iss + 1, 0, 0, closed, tcp_reset},
               {internal, syn, new_iss, 0, 0, refresh, tcp_syn_internal},
               answer})},
  });
}

TEST_CASE("tcp_state: rfc5961 nobody but the other end decides about a SYN") {
  constexpr std::uint32_t far = 0x4000'0000;
  run_all({
      {"from outside, challenged",
       opened({{remote, syn, irs + far, 0, 0, none, tcp_established},
               {internal, ack, iss + 1, irs + 1, 0, refresh, tcp_established},
               {remote, ack, irs + far + 1, iss + far, 100, none, tcp_established},
               {remote, fin_ack, irs + far + 1, iss + far, 0, none, tcp_established},
               {remote, rst, irs + far + 1, 0, 0, none, tcp_established},
               {remote, rst, irs + 1, 0, 0, closed, tcp_reset}})},
      {"from inside, answered by somebody who did not see it",
       opened({{internal, syn, iss + far, 0, 0, refresh, tcp_established},
               {remote, syn_ack, irs + far, iss + far + 2, 0, none, tcp_established},
               {remote, rst_ack, 0, iss + far + 2, 0, none, tcp_established},
               {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}})},
      {"while opening, an answer to no SYN opens nothing",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 2, 0, none, tcp_syn_internal},
        {remote, syn_ack, irs, iss, 0, none, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established}}},
      {"a half-closed connection keeps its FIN when an old SYN is answered again",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing}})},
  });
}

TEST_CASE("tcp_state: a session that missed packets catches up, and FINs count") {
  constexpr std::uint32_t far = 0x1000'0000;
  const std::uint32_t i = iss + 1 + far;
  const std::uint32_t r = irs + 1 + 2 * far;
  const std::vector<Step> closing{{internal, fin_ack, i, r, 0, refresh, tcp_fin_internal},
                                  {remote, fin_ack, r, i + 1, 0, refresh, tcp_closing},
                                  {internal, ack, i + 1, r + 1, 0, closed, tcp_closing}};
  const auto then_closes = [&](std::vector<Step> steps) {
    steps.insert(steps.end(), closing.begin(), closing.end());
    return opened(steps);
  };
  run_all({
      {"data from outside that is acknowledged",
       then_closes({{remote, ack, r - 1000, i, 1000, none, tcp_established},
                    {internal, ack, i, r, 0, refresh, tcp_established}})},
      {"data from inside that is acknowledged",
       then_closes({{internal, ack, i - 100, r, 100, refresh, tcp_established},
                    {remote, ack, r, i, 0, refresh, tcp_established}})},
      {"the first that is seen is a FIN",
       opened({{internal, fin_ack, i, r, 0, none, tcp_established},
               {remote, ack, r, i + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, r, i + 1, 0, refresh, tcp_closing},
               {internal, ack, i + 1, r + 1, 0, closed, tcp_closing}})},
      {"which the other's FIN acknowledges",
       opened({{remote, fin_ack, r, i, 0, none, tcp_established},
               {internal, fin_ack, i, r + 1, 0, refresh, tcp_closing},
               {remote, ack, r + 1, i + 1, 0, closed, tcp_closing}})},
      {"half-closed: the end that is not goes on",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, ack, r - 1000, iss + 2, 1000, none, tcp_fin_internal},
               {internal, ack, iss + 2, r, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, r, iss + 2, 0, refresh, tcp_closing},
               {internal, ack, iss + 2, r + 1, 0, closed, tcp_closing}})},
      {"while opening: both ends have a connection",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {internal, ack, i, r, 0, refresh, tcp_syn_internal},
        {remote, ack, r, i, 0, refresh, tcp_established},
        {internal, fin_ack, i, r, 0, refresh, tcp_fin_internal}}},
      {"after a reset that was not believed",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {remote, ack, r - 1000, i, 1000, none, tcp_reset},
               {internal, ack, i, r, 0, refresh, tcp_established}})},
      {"not by what agrees with one number only",
       opened({{remote, ack, r, i, 0, none, tcp_established},
               {internal, ack, i, irs + 1, 0, refresh, tcp_established},
               {internal, fin_ack, i, r, 0, none, tcp_established},
               {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal}})},
      {"nor by one end alone, whatever it sends",
       opened({{remote, ack, r, i, 0, none, tcp_established},
               {remote, ack, r, i, 100, none, tcp_established},
               {remote, fin_ack, r + 100, i, 0, none, tcp_established},
               {internal, ack, iss + 1, irs + 1, 0, refresh, tcp_established},
               {remote, rst, r + 100, 0, 0, none, tcp_established}})},
  });
}

TEST_CASE("tcp_state: rfc6146_s3_5_2_2 a FIN does not open, nor close what is not open") {
  run_all({{"of the client",
            {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
             {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_syn_internal},
             {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established}}}});
}

TEST_CASE("tcp_state: rfc7323 a window is scaled if both ends offer it, and not that of a SYN") {
  const std::vector<Step> in_syns{
      {internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
      {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established},
      {internal, rst, iss + 1 + window + 1, 0, 0, none, tcp_established},
      {internal, rst, iss + 1 + window, 0, 0, closed, tcp_reset}};
  Case of_syn{"of the answering SYN", in_syns};
  of_syn.internal_scale = of_syn.remote_scale = 3;
  run(of_syn, 0);
  for (const bool internal_offers : {true, false}) {
    Case one_sided{"only one offers",
                   opened({{internal, ack, iss + 1, irs + 1, 0, refresh, tcp_established},
                           {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established},
                           {remote, rst, irs + 1 + window + 1, 0, 0, none, tcp_established},
                           {internal, rst, iss + 1 + window + 1, 0, 0, none, tcp_established},
                           {remote, rst, irs + 1 + window, 0, 0, closed, tcp_reset}})};
    one_sided.internal_scale = internal_offers ? std::uint8_t{7} : no_tcp_scale;
    one_sided.remote_scale = internal_offers ? no_tcp_scale : std::uint8_t{7};
    run(one_sided, 0);
  }
}

TEST_CASE("tcp_state: rfc7857_s2 after the end") {
  run_all({
      {"traffic after a reset resumes the connection",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {internal, ack, iss + 1, irs + 1, 100, refresh, tcp_established}})},
      {"a blind reset after the end changes nothing",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {remote, rst, irs + 900'000, 0, 0, none, tcp_reset}})},
      {"a SYN after a reset opens anew",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {internal, syn, 900'000, 0, 0, refresh, tcp_syn_internal},
               {remote, syn_ack, 800'000, 900'001, 0, refresh, tcp_established},
               {remote, rst, 800'001 + window + 1, 0, 0, none, tcp_established},
               {internal, ack, 900'001, 800'001, 0, refresh, tcp_established},
               {remote, rst, 800'001, 0, 0, closed, tcp_reset}})},
      {"a SYN on a closing connection opens anew",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing},
               {internal, ack, iss + 2, irs + 2, 0, closed, tcp_closing},
               {internal, syn, 700'000, 0, 0, refresh, tcp_syn_internal},
               {remote, syn_ack, 800'000, 700'001, 0, refresh, tcp_established}})},
      {"a SYN from outside alone reopens nothing",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {remote, syn, 800'000, 0, 0, none, tcp_reset},
               {remote, syn_ack, 800'000, iss + 1, 0, none, tcp_reset},
               {internal, ack, iss + 1, irs + 1, 100, refresh, tcp_established},
               {remote, ack, irs + 1, iss + 101, 100, refresh, tcp_established}})},
      {"its answer does, on a closing connection",
       opened({{remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_fin_remote},
               {internal, fin_ack, iss + 1, irs + 2, 0, refresh, tcp_closing},
               {remote, ack, irs + 2, iss + 2, 0, closed, tcp_closing},
               {remote, syn, 800'000, 0, 0, none, tcp_closing},
               {internal, syn_ack, 700'000, 800'001, 0, refresh, tcp_syn_remote},
               {remote, rst, 800'001 + window + 1, 0, 0, none, tcp_syn_remote},
               {remote, ack, 800'001, 700'001, 0, refresh, tcp_established},
               {internal, fin_ack, 700'001, 800'001, 0, refresh, tcp_fin_internal},
               {remote, rst, 800'001, 0, 0, closed, tcp_reset}})},
      {"and after a reset",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {remote, syn, 800'000, 0, 0, none, tcp_reset},
               {internal, syn_ack, 700'000, 800'001, 0, refresh, tcp_syn_remote},
               {remote, ack, 800'001, 700'001, 0, refresh, tcp_established}})},
      {"both sides open anew at once",
       opened({{internal, rst, iss + 1, 0, 0, closed, tcp_reset},
               {remote, syn, 800'000, 0, 0, none, tcp_reset},
               {internal, syn, 700'000, 0, 0, refresh, tcp_syn_internal},
               {remote, syn, 800'000, 0, 0, none, tcp_syn_internal},
               {internal, syn_ack, 700'000, 800'001, 0, refresh, tcp_syn_internal},
               {remote, syn_ack, 800'000, 700'001, 0, refresh, tcp_established}})},
      {"a late FIN or acknowledgment leaves it closing",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing},
               {internal, ack, iss + 2, irs + 2, 0, closed, tcp_closing},
               {remote, fin_ack, irs + 1, iss + 2, 0, none, tcp_closing}})},
  });
}

TEST_CASE("tcp_state: a segment is read from its header") {
  const Peer from{Host::of(10, 0, 0, 2), 1000};
  const Peer to{Host::of(10, 0, 0, 3), 2000};
  TcpFields fields{.flags = syn_ack,
                   .sequence = 0xdead'beef,
                   .acknowledgment = 0x1234'5678,
                   .window = 0xabcd,
                   .reserved = 0xf,
                   .options = {2, 4, 5, 0xb4, 1, 3, 3, 7}};
  const Bytes packet = tcp(from, to, fields, payload_of(100));
  const TcpSegment segment =
      read_tcp_segment(&packet[20], static_cast<std::uint16_t>(packet.size() - 20));
  CHECK_EQ(segment.sequence, 0xdead'beef);
  CHECK_EQ(segment.acknowledgment, 0x1234'5678);
  CHECK_EQ(segment.window, 0xabcd);
  CHECK_EQ(segment.flags & 0x3f, syn_ack);
  CHECK_EQ(segment.payload_size, 100);
  CHECK_EQ(segment.scale, 7);
}

TEST_CASE("tcp_state: the window scale option is found where it stands, else there is none") {
  struct Options {
    const char* name;
    std::uint8_t flags;
    Bytes options;
    int scale;
  };
  const Options all[] = {
      {"none", syn, {}, no_tcp_scale},
      {"alone", syn, {3, 3, 9, 0}, 9},
      {"behind others", syn, {2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 5, 0, 0}, 5},
      {"greater than allowed", syn, {3, 3, 200, 0}, 14},
      {"on a segment that is no SYN", ack, {3, 3, 9, 0}, no_tcp_scale},
      {"behind the end of the list", syn, {0, 3, 3, 9}, no_tcp_scale},
      {"cut short", syn, {1, 1, 3, 3}, no_tcp_scale},
      {"without its length", syn, {1, 1, 1, 3}, no_tcp_scale},
      {"with a wrong length", syn, {3, 2, 9, 0}, no_tcp_scale},
      {"behind an option of length 0", syn, {8, 0, 3, 3, 9, 0, 0, 0}, no_tcp_scale},
      {"behind an option that is too long", syn, {8, 40, 3, 3, 9, 0, 0, 0}, no_tcp_scale},
  };
  for (const Options& c : all) {
    INFO(std::string(c.name));
    const Bytes packet = tcp({Host::of(10, 0, 0, 2), 1}, {Host::of(10, 0, 0, 3), 2},
                             {.flags = c.flags, .options = c.options});
    // On the heap and exactly as long, so that a sanitizer sees a read beyond.
    const Bytes segment(packet.begin() + 20, packet.end());
    const auto size = static_cast<std::uint16_t>(segment.size());
    CHECK_EQ(int{read_tcp_segment(segment.data(), size).scale}, c.scale);
  }
}
