// The program swnat-pcp.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "rules/config/config.h"
#include "rules/terminal/arguments.h"
#include "tools/pcp/program.h"

namespace {

constexpr const char* description =
    "Gives tenants of swnat the ports that their programs ask for, by PCP (RFC 6887) and NAT-PMP\n"
    "(RFC 6886), in the foreground. A tenant is known by the link that it asks over. Ports are\n"
    "forwarded by swnat-nfq, which this program asks over the control socket.";

constexpr const char* footer =
    "In the configuration file, which is that of swnat-nfq:\n"
    "  [pcp]\n"
    "  enabled           = true     # it is off by default\n"
    "  max_per_namespace = 32       # ports that a namespace may have at a time\n"
    "  lifetime          = \"2h\"     # the longest that is given\n"
    "Signals: SIGHUP reads the file again, SIGTERM and SIGINT stop. Ports stay until their time "
    "is\n"
    "over, and are known again after a restart.\n"
    "Exit status: 0 when a signal ended it, 1 for what went wrong, 2 for wrong arguments.";

int run(const std::string& file) {
  const swnat::rules::LoadResult result = swnat::rules::load_config(file);
  for (const auto& error : result.errors) std::fprintf(stderr, "%s\n", error.text().c_str());
  if (!result.config) return 1;
  swnat::pcp::Program program(*result.config);
  return program.run();
}

int run_command_line(int argc, char** argv) {
  std::string file = "/etc/swnat/swnat.toml";
  CLI::App app(description, "swnat-pcp");
  app.footer(footer);
  app.set_version_flag("--version", "swnat-pcp " SWNAT_VERSION);
  app.add_option("-c,--config", file, "the configuration file")
      ->type_name("FILE")
      ->capture_default_str();
  const auto tell = [](const std::string& line) {
    std::fprintf(stderr, "swnat-pcp: %s\n", line.c_str());
  };
  if (const auto status = swnat::rules::read_arguments(app, argc, argv, tell)) return *status;
  return run(file);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run_command_line(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "swnat-pcp: %s\n", error.what());
    return 1;
  }
}
