// fill-state CONFIG SESSIONS: makes the state that a daemon of this configuration will take over,
// with so many UDP sessions of its first namespaces, half of them each's. No traffic of that many
// flows would be quick.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "nfq/clock.h"
#include "nfq/state_file.h"
#include "rules/config/config.h"
#include "rules/config/config_file.h"
#include "tests/support/packets.h"

namespace swnat::test {
namespace {

constexpr std::uint32_t ports = 1000;  // of each namespace; each has sessions with many remotes

std::uint32_t number_in(std::string_view text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end) throw std::runtime_error("SESSIONS must be a number");
  return number;
}

rules::Config config_of(const char* file) {
  rules::LoadResult loaded = rules::load_config(file);
  if (!loaded.config) throw std::runtime_error(loaded.errors.front().text());
  return std::move(*loaded.config);
}

void fill(const rules::Config& config, std::uint32_t sessions) {
  const auto policy = std::make_shared<const Policy>(rules::make_policy(config));
  EngineOptions options{.shards = config.workers,
                        .max_sessions = config.max_sessions,
                        .secret = {1, 2, 3, 4},
                        .time_epoch = nfq::boot_epoch(),
                        .now = nfq::now()};
  nfq::StateFile state(config.state_file);
  state.resize(Engine::session_memory_size(options, *policy));
  options.session_memory = state.bytes();
  Engine engine(options, policy);
  for (std::uint32_t i = 0; i < sessions; ++i) {
    const auto port = static_cast<std::uint16_t>(1024 + i / 2 % ports);
    const Peer internal{Host::of(10, 0, 0, 2), port};
    const Peer remote{Host::from_host(0xc612'0000 + i / 2 / ports), 53};  // 198.18.0.0/15
    Bytes packet = udp(internal, remote);
    const Reason reason =
        engine.outbound(packet, policy->namespaces[i % 2].first, *options.now).reason;
    if (verdict_of(reason) == Verdict::accept) continue;
    throw std::runtime_error(fmt::format("session {}: {}", i, info(reason).text));
  }
  static_cast<void>(state.keep());
}

}  // namespace
}  // namespace swnat::test

int main(int argc, char** argv) {
  try {
    if (argc != 3) throw std::runtime_error("usage: fill-state CONFIG SESSIONS");
    swnat::test::fill(swnat::test::config_of(argv[1]), swnat::test::number_in(argv[2]));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fill-state: %s\n", error.what());
    return 1;
  }
}
