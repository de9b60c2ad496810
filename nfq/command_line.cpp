#include "nfq/command_line.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "nfq/confirmation.h"
#include "nfq/daemon.h"
#include "nfq/error.h"
#include "nfq/log.h"
#include "rules/config/config.h"
#include "rules/kernel/kernel.h"
#include "rules/terminal/arguments.h"
#include "rules/text/duration.h"

namespace swnat::nfq {
namespace {

using rules::Format;

constexpr const char* description =
    "swnat gives many tenants, whose private addresses may overlap, one set of public addresses.\n"
    "Kernel rules send packets to NFQUEUE; swnat-nfq translates them and gives them back. The\n"
    "fwmark of a packet names its tenant.";

constexpr const char* footer =
    "A first start, as root:\n"
    "  swnat-nfq check    is the configuration file valid?\n"
    "  swnat-nfq rules    what would the kernel be told?\n"
    "  swnat-nfq up       tell it; from now on tenants' packets need the daemon\n"
    "  swnat-nfq run      translate, until Ctrl-C\n"
    "  swnatctl sessions  in another terminal: what is translated now\n"
    "  swnat-nfq down     remove the rules again\n"
    "Signals: SIGHUP reloads the file and keeps sessions, SIGUSR1 prints counters,\n"
    "SIGTERM and SIGINT stop. Without the daemon, tenants' packets are dropped, never leaked.\n"
    "Exit status: 0 done, 1 failed, 2 wrong arguments. Errors are lines on standard error.\n"
    "Completion: source <(swnat-nfq completion bash), or zsh.";

struct Arguments {
  std::string file = "/etc/swnat/swnat.toml";
  std::string format = "auto";
  std::string only;
  std::chrono::seconds confirm_within{0};  // 0: what `up` does stays anyway
};

Format format_of(const std::string& name) {
  if (name == "nft") return Format::nft;
  return name == "iptables" ? Format::iptables : Format::automatic;
}

std::chrono::seconds confirmation_time(const std::string& text) {
  constexpr std::chrono::seconds longest = std::chrono::hours(24);
  const auto time = rules::parse_duration(text);
  if (time && time->count() > 0 && *time <= longest) return *time;
  throw CLI::ValidationError(
      "--confirm", fmt::format("\"{}\" is no such time (allowed: 1s to 24h, as in 60s)", text));
}

std::optional<rules::Config> load(const std::string& file) {
  rules::LoadResult result = rules::load_config(file);
  for (const rules::ConfigError& error : result.errors) {
    write_log_as_it_is(Priority::error, error.text());
  }
  return std::move(result.config);
}

int run(rules::Config config) {
  Daemon daemon(std::move(config));
  return daemon.run();
}

int check(const rules::Config& config) {
  const std::size_t count = config.namespaces.size();
  std::printf("%s: valid, %zu namespace%s; only the file was looked at, not this machine\n",
              config.file.c_str(), count, count == 1 ? "" : "s");
  return 0;
}

int print_rules(const rules::Config& config, const Arguments& arguments) {
  const Format format = format_of(arguments.format);
  const std::string text =
      arguments.only == "nft" ? rules::render_nft(config, format) : rules::render(config, format);
  std::fputs(text.c_str(), stdout);
  return 0;
}

// What was done to standard output, what to look at to the other.
void tell(const rules::Done& done) {
  std::printf("%s\n", done.summary.c_str());
  std::fflush(stdout);
  for (const std::string& line : done.to_know) write_log(Priority::warning, line);
}

int apply(const rules::Config& config, const Arguments& arguments) {
  const Format format = format_of(arguments.format);
  if (arguments.confirm_within.count() == 0) {
    tell(rules::up(config, format));
    return 0;
  }
  rules::up(config, format, [&](const rules::Done& done) {
    tell(done);
    return wait_for_confirmation(config.control_socket, arguments.confirm_within);
  });
  log(Priority::info, "confirmed: it stays");
  return 0;
}

int confirm_up(const rules::Config& config) {
  confirm(config.control_socket);
  return 0;
}

int remove(const rules::Config& config) {
  tell(rules::down(config));
  return 0;
}

// Says in one line what the exceptions that end a command mean.
template <class Action>
int guarded(Action action) {
  try {
    const int status = action();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
    log(Priority::error, "cannot write to standard output");
  } catch (const std::bad_alloc&) {
    log(Priority::error, "not enough memory; a smaller nat.max_sessions needs less");
  } catch (const std::exception& error) {
    log(Priority::error, "{}", error.what());
  }
  return 1;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(description, "swnat-nfq");
  app.set_version_flag("--version", "swnat-nfq " SWNAT_VERSION);
  app.add_option("-c,--config", arguments.file, "the configuration file")
      ->type_name("FILE")
      ->capture_default_str();
  app.require_subcommand(0, 1);
  app.fallthrough();

  app.add_subcommand("run", "translate packets, in the foreground (also without any command)");
  auto* check_command = app.add_subcommand("check", "only say whether the configuration is valid");
  auto* rules_command =
      app.add_subcommand("rules", "print what `up` would tell the kernel, changing nothing");
  auto* up_command = app.add_subcommand("up", "tell the kernel: rules, policy routing and sysctls");
  auto* confirm_command =
      app.add_subcommand("confirm", "keep what `up --confirm` did, which waits for it");
  auto* down_command = app.add_subcommand("down", "remove exactly what `up` added");

  const auto add_format = [&](CLI::App* command) {
    command->add_option("--format", arguments.format, "auto is nft where this kernel can do it")
        ->type_name("FORMAT")
        ->check(rules::one_of({"auto", "nft", "iptables"}))
        ->capture_default_str();
  };
  add_format(rules_command);
  rules_command->add_option("--only", arguments.only, "nft: the nft table alone, for `nft -f`")
      ->type_name("PART")
      ->check(rules::one_of({"nft"}));
  add_format(up_command);
  up_command
      ->add_option_function<std::string>(
          "--confirm",
          [&](const std::string& text) { arguments.confirm_within = confirmation_time(text); },
          "take it back unless it is confirmed within that time, like 60s")
      ->type_name("TIME");

  app.footer(footer);

  const auto tell_fault = [](const std::string& line) { write_log(Priority::error, line); };
  if (const auto status = rules::read_arguments(app, argc, argv, tell_fault)) return *status;

  return guarded([&] {
    auto config = load(arguments.file);
    if (!config) return 1;
    if (*check_command) return check(*config);
    if (*rules_command) return print_rules(*config, arguments);
    if (*up_command) return apply(*config, arguments);
    if (*confirm_command) return confirm_up(*config);
    if (*down_command) return remove(*config);
    return run(std::move(*config));
  });
}

}  // namespace swnat::nfq
