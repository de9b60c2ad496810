// Running the programs that tell the kernel: nft, iptables, ip.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

struct ProcessResult {
  int exit_code = 0;  // 128 + the signal's number, if one ended it
  std::string output;
  std::string error;
};

// A program that computes nothing for so long hangs, however busy the machine is, and is ended. It
// is looked at as often, so that it ends after up to twice as long.
inline std::atomic<std::chrono::milliseconds> longest_idleness{std::chrono::seconds(30)};

// Whether the program is found in PATH, or where administrators' programs lie.
bool has_program(std::string_view name);

// Runs a program without a shell, `input` as its standard input, and waits for its end. It is out
// of reach of the terminal's Ctrl-C, so that no step ends half-way. Throws KernelError if it cannot
// be started, naming the Debian package that it comes from, or hangs.
ProcessResult run(const std::vector<std::string>& arguments, std::string_view input = {});

// The same; anything but exit code 0 is a KernelError with what the program said.
std::string run_or_throw(const std::vector<std::string>& arguments, std::string_view input = {});

// The same, in a new network namespace that vanishes with the program. nullopt if none can be made.
std::optional<ProcessResult> run_apart(const std::vector<std::string>& arguments,
                                       std::string_view input);

// What a program said on standard error, on one line and not too long.
std::string in_short(std::string_view error);

}  // namespace swnat::rules
