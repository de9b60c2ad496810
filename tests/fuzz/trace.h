// What a trial did, for people: one line for each step on stderr if SWNAT_FUZZ_TRACE is set.
#pragma once

#include <string>

#include "tests/fuzz/given.h"
#include "tests/fuzz/listing.h"

namespace swnat::fuzz {

bool is_traced();
void trace(const std::string& text);
void trace(const Given& given);
void trace(const Packet& packet);
void trace(const Listing& listing);
void trace(const Policy& policy);

}  // namespace swnat::fuzz
