// Which network namespace of which boot this is, and files about it beside the control socket.
#pragma once

#include <cstdint>
#include <string>

#include "rules/kernel/record_json.h"

namespace swnat::rules {

// Both throw KernelError.
std::uint64_t namespace_inode();
RecordOrigin origin_here();

// That a control socket is in.
std::string record_folder(const std::string& control_socket);
// "FOLDER/NAME-NUMBER": of the folder that a control socket is in, and this network namespace.
std::string place_beside(const std::string& control_socket, const char* name);

// Writes all of a file in one step. What survives a crash of the machine is on disk afterwards.
// Throws KernelError.
enum class Survives { processes, machine };
void replace_file(const std::string& path, const std::string& text, Survives survives);

}  // namespace swnat::rules
