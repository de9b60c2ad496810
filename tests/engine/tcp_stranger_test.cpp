// What segments of somebody who does not see the connection do to it: nothing.
#include "tests/support/tcp_steps.h"

using namespace swnat;
using namespace swnat::test;
using namespace swnat::test::tcp_steps;

TEST_CASE("tcp_stranger: only a SYN opens again what both ends closed") {
  const auto closing = [](std::vector<Step> more) {
    std::vector<Step> steps{{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
                            {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing}};
    steps.insert(steps.end(), more.begin(), more.end());
    return opened(steps);
  };
  run_all({
      {"a reset that crosses the last acknowledgment",
       closing({{remote, rst, irs + 2, 0, 0, closed, tcp_closing},
                {internal, ack, iss + 2, irs + 2, 0, closed, tcp_closing},
                {remote, fin_ack, irs + 1, iss + 2, 0, none, tcp_closing}})},
      {"a reset from inside", closing({{internal, rst, iss + 2, 0, 0, closed, tcp_closing},
                                       {remote, ack, irs + 2, iss + 2, 0, refresh, tcp_closing}})},
      {"a copy of the answer to the SYN that is late",
       {{remote, syn, irs, 0, 0, refresh, tcp_syn_remote},
        {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_remote},
        {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established},
        {remote, fin_ack, irs + 1, iss + 1, 0, refresh, tcp_fin_remote},
        {internal, fin_ack, iss + 1, irs + 2, 0, refresh, tcp_closing},
        {remote, ack, irs + 2, iss + 2, 0, closed, tcp_closing},
        {internal, syn_ack, iss, irs + 1, 0, none, tcp_closing}}},
      {"the same after a reset", opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
                                         {internal, syn_ack, iss, irs + 1, 0, none, tcp_reset},
                                         {remote, syn, irs + 800'000, 0, 0, none, tcp_reset},
                                         {internal, syn_ack, iss, irs + 1, 0, none, tcp_reset}})},
      {"a reset that is not believed leaves the FIN that was seen",
       opened({{internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, rst, irs + 100, 0, 0, closed, tcp_reset},
               {internal, ack, iss + 2, irs + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing}})},
  });
}

TEST_CASE("tcp_stranger: rfc9293_s3_10_7 a segment without acknowledgment changes nothing") {
  constexpr std::uint32_t any = 0x1234'5678;
  run_all({
      {"nor revives what was refused",
       {{internal, syn, iss, 0, 0, refresh, tcp_syn_internal},
        {remote, rst_ack, 0, iss + 1, 0, closed, tcp_reset},
        {remote, 0, any, 0, 0, none, tcp_reset},
        {remote, fin, any, 0, 0, none, tcp_reset},
        {remote, ack, any, iss + 1, 0, none, tcp_reset},
        {remote, ack, any, iss + any, 0, none, tcp_reset},
        {internal, ack, iss + 1, any, 0, none, tcp_reset}}},
      {"nor closes", opened({{remote, 0, irs + 1, 0, 100, none, tcp_established},
                             {remote, fin, irs + 1, 0, 0, none, tcp_established},
                             {internal, fin, iss + 1, 0, 0, none, tcp_established}})},
      {"after a reset both numbers must be in the window",
       opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
               {remote, ack, irs + 1 + window + 1, iss + 1, 0, none, tcp_reset},
               {remote, ack, irs + 1, iss + 1 + window + 1, 0, none, tcp_reset},
               {remote, ack, irs, iss + 1, 0, none, tcp_reset},
               {remote, ack, irs + 1, iss, 0, none, tcp_reset},
               {remote, ack, irs + 1 + window, iss + 1 + window, 0, refresh, tcp_established}})},
  });
}

TEST_CASE("tcp_stranger: a stranger's SYN does not open what was asked from inside") {
  constexpr std::uint32_t far = 0x4000'0000;
  const Step asked{internal, syn, iss, 0, 0, refresh, tcp_syn_internal};
  const Step strange{remote, syn, irs + far, 0, 0, none, tcp_syn_internal};
  run_all({
      {"it is refused", {asked, strange, {remote, rst_ack, 0, iss + 1, 0, closed, tcp_reset}}},
      {"it is answered",
       {asked,
        strange,
        {remote, syn_ack, irs, iss + 1, 0, refresh, tcp_established},
        {internal, ack, iss + 1, irs + 1, 0, refresh, tcp_established},
        {internal, fin_ack, iss + 1, irs + 1, 0, refresh, tcp_fin_internal},
        {remote, fin_ack, irs + 1, iss + 2, 0, refresh, tcp_closing}}},
      {"who asked believes it, and whom it asked resets that",
       {asked,
        strange,
        {internal, syn_ack, iss, irs + far + 1, 0, refresh, tcp_syn_internal},
        {remote, syn_ack, irs, iss + 1, 0, none, tcp_syn_internal},
        {internal, ack, iss + 1, irs + far + 1, 0, refresh, tcp_syn_internal},
        {remote, rst, irs + far + 1, 0, 0, closed, tcp_reset}}},
      {"nor do other segments of it prolong anything",
       {asked,
        {remote, syn_ack, irs + far, iss + far, 0, none, tcp_syn_internal},
        {remote, ack, irs + far, iss + far, 100, none, tcp_syn_internal},
        {remote, 0, irs + far, 0, 100, none, tcp_syn_internal},
        {remote, syn, irs + far, 0, 0, none, tcp_syn_internal},
        {remote, syn, irs + far, 0, 0, none, tcp_syn_internal}}},
  });
  // Nor does it settle how windows are scaled.
  Connection connection;
  const auto take = [&](TcpSender sender, TcpSegment segment) {
    segment.window = 0xffff;
    return advance(connection.view(), segment, sender);
  };
  open(connection.view(), {.sequence = iss, .flags = syn, .scale = 7}, internal);
  take(remote, {.sequence = irs + far, .flags = syn});
  take(remote, {.sequence = irs, .acknowledgment = iss + 1, .flags = syn_ack, .scale = 7});
  take(internal, {.sequence = iss + 1, .acknowledgment = irs + 1, .flags = ack});
  CHECK_EQ(take(remote, {.sequence = irs + 1 + 300'000, .flags = rst}), closed);
  CHECK_EQ(connection.state, tcp_reset);
}

TEST_CASE(
    "tcp_stranger: a SYN from outside is one of the remote's once it acknowledges the answer") {
  constexpr std::uint32_t far = 0x4000'0000;
  const auto asked = [](std::vector<Step> more) {
    std::vector<Step> steps{{remote, syn, irs, 0, 0, refresh, tcp_syn_remote},
                            {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_remote}};
    steps.insert(steps.end(), more.begin(), more.end());
    return steps;
  };
  run_all({
      {"nobody does", asked({{internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_remote},
                             {remote, syn, irs, 0, 0, none, tcp_syn_remote},
                             {remote, ack, irs + 1, iss + far, 0, none, tcp_syn_remote},
                             {remote, ack, irs + 1, iss, 0, none, tcp_syn_remote},
                             {remote, ack, irs + 1, iss + 2, 0, none, tcp_syn_remote},
                             {remote, fin_ack, irs + 1, iss + 2, 0, none, tcp_syn_remote},
                             {remote, syn_ack, irs, iss + 2, 0, none, tcp_syn_remote},
                             {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established}})},
      {"before the answer there is nothing to acknowledge",
       {{remote, syn, irs, 0, 0, refresh, tcp_syn_remote},
        {remote, ack, irs + 1, iss + 1, 0, none, tcp_syn_remote},
        {internal, syn_ack, iss, irs + 1, 0, refresh, tcp_syn_remote},
        {remote, ack, irs + 1, iss + 1, 0, refresh, tcp_established}}},
      {"the inside gives up", asked({{internal, rst, iss + 1, 0, 0, closed, tcp_reset}})},
      {"the inside refuses",
       {{remote, syn, irs, 0, 0, refresh, tcp_syn_remote},
        {internal, rst_ack, 0, irs + 1, 0, closed, tcp_reset}}},
      {"the inside answers with another number than before",
       asked({{internal, syn_ack, iss + far, irs + 1, 0, refresh, tcp_syn_remote},
              {remote, ack, irs + 1, iss + 1, 0, none, tcp_syn_remote},
              {remote, ack, irs + 1, iss + far + 1, 0, refresh, tcp_established}})},
      {"rfc7413: it acknowledges what the inside sent with and behind the answer, the FIN too",
       {{remote, syn, irs, 0, 100, refresh, tcp_syn_remote},
        {internal, syn_ack, iss, irs + 101, 200, refresh, tcp_syn_remote},
        {internal, ack, iss + 201, irs + 101, 300, refresh, tcp_syn_remote},
        {internal, fin_ack, iss + 501, irs + 101, 0, refresh, tcp_syn_remote},
        {remote, ack, irs + 101, iss + 503, 0, none, tcp_syn_remote},
        {remote, ack, irs + 101, iss + 502, 0, refresh, tcp_fin_internal},
        {remote, fin_ack, irs + 101, iss + 502, 0, refresh, tcp_closing},
        {internal, ack, iss + 502, irs + 102, 0, closed, tcp_closing}}},
      {"its first acknowledgment is a FIN",
       asked({{remote, fin_ack, irs + 1, iss + 1, 50, refresh, tcp_fin_remote}})},
  });
}

TEST_CASE("tcp_stranger: what comes from outside replaces no claim of the inside") {
  constexpr std::uint32_t far = 0x4000'0000;
  constexpr std::uint32_t i = 2'000'000'000;
  constexpr std::uint32_t r = 3'000'000'000;
  run_all({
      {"a second connection, and strangers between its segments",
       opened({{internal, syn, i, 0, 0, refresh, tcp_established},
               {remote, syn, r + far, 0, 0, none, tcp_established},
               {remote, ack, r + far, i + far, 0, none, tcp_established},
               {remote, syn_ack, r, i + 1, 0, refresh, tcp_established},
               {internal, ack, i + 1, r + 1, 0, refresh, tcp_established},
               {internal, fin_ack, i + 1, r + 1, 0, refresh, tcp_fin_internal},
               {remote, ack, r + far, i + far, 0, none, tcp_fin_internal},
               {remote, fin_ack, r + 1, i + 2, 0, refresh, tcp_closing},
               {internal, ack, i + 2, r + 2, 0, closed, tcp_closing}})},
      {"a FIN that is the first seen after a pause",
       opened({{internal, fin_ack, i, r, 0, none, tcp_established},
               {remote, ack, r + far, i + far, 0, none, tcp_established},
               {remote, fin_ack, r + far, i + far, 0, none, tcp_established},
               {remote, syn, r + far, 0, 0, none, tcp_established},
               {remote, fin_ack, r, i + 1, 0, refresh, tcp_closing},
               {internal, ack, i + 1, r + 1, 0, closed, tcp_closing}})},
      {"one from outside is followed though a claim of the inside waits",
       opened({{internal, fin_ack, iss + far, irs + far, 0, none, tcp_established},
               {remote, syn, r, 0, 0, none, tcp_established},
               {internal, syn_ack, i, r + 1, 0, refresh, tcp_established},
               {remote, ack, r + far, i + far, 0, none, tcp_established},
               {remote, ack, r + 1, i + 1, 0, refresh, tcp_established},
               {internal, fin_ack, i + 1, r + 1, 0, refresh, tcp_fin_internal},
               {remote, fin_ack, r + 1, i + 2, 0, refresh, tcp_closing},
               {internal, ack, i + 2, r + 2, 0, closed, tcp_closing}})},
      {"or though a stranger's SYN came between it and its answer",
       opened({{remote, syn, r, 0, 0, none, tcp_established},
               {remote, syn, r + far, 0, 0, none, tcp_established},
               {internal, syn_ack, i, r + 1, 0, refresh, tcp_established},
               {remote, rst_ack, 0, i + 2, 0, none, tcp_established},
               {remote, ack, r + 1, i + 1, 0, refresh, tcp_established},
               {remote, fin_ack, r + 1, i + 1, 0, refresh, tcp_fin_remote}})},
      {"or after a reset", opened({{remote, rst, irs + 1, 0, 0, closed, tcp_reset},
                                   {internal, ack, iss + far, irs + far, 0, refresh, tcp_reset},
                                   {remote, syn, r, 0, 0, none, tcp_reset},
                                   {internal, syn_ack, i, r + 1, 0, none, tcp_reset},
                                   {remote, ack, r + 1, i + 2, 0, none, tcp_reset},
                                   {remote, ack, r + 1, i + 1, 0, refresh, tcp_established}})},
      {"of which the first that is acknowledged is a FIN",
       opened({{internal, syn_ack, i, r + 1, 0, refresh, tcp_established},
               {remote, fin_ack, r + 1, i + 1, 1300, refresh, tcp_fin_remote},
               {internal, fin_ack, i + 1, r + 1302, 0, refresh, tcp_closing}})},
  });
}
