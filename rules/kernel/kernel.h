// What the kernel must be told so that packets reach the daemon and nothing leaves untranslated:
// rules, policy routing and sysctls. Text for people to read, and the same applied and removed.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "rules/config/config.h"
#include "rules/text/kernel_error.h"
#include "rules/wanted/format.h"

namespace swnat::rules {

// A shell script that does what up() does, changing nothing. `automatic` means what up() would
// choose here.
std::string render(const Config& config, Format format);

// Of it, the nft table alone, as `nft -f` takes it.
std::string render_nft(const Config& config, Format format);

// Tells apart what configurations ask of the kernel.
std::string configuration_digest(const Config& config);

// For the operator.
struct Done {
  std::string summary;               // a line: what was done, and in which format
  std::vector<std::string> to_know;  // what to look at, a line each
};

// Applies the rules in this process's network namespace. Applying again, or with a changed file,
// leaves what the last call asks for and nothing else. A failure half-way undoes what this call
// did. A namespace whose interface is not there, or down, stays blocked. Throws KernelError.
//
// `keep`, if there is one, is asked when all is done, while nobody else can
// change it and signals that end a process are blocked. If it says no, or throws, all is undone.
using Keep = std::function<bool(const Done& done)>;
Done up(const Config& config, Format format, const Keep& keep = {});

// Removes exactly what up() added, and puts back the sysctls it changed. Without a record of these,
// or with a damaged one, it removes what can be recognised, and fails then. Nothing to remove is no
// error. What it left, because others made it, is what to know. Throws KernelError.
Done down(const Config& config);

// Throws KernelError if the configuration's external interface does not exist here.
void require_external_interface(const Config& config);

}  // namespace swnat::rules
