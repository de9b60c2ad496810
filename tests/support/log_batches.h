// Records of the mapping log, and what files and sockets got of them.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include "nfq/log_output.h"
#include "swnat/address_text.h"

namespace swnat::test {

// So many mappings of the ports from `first_port` on.
inline nfq::LogBatch batch_of(std::uint16_t first_port, std::uint16_t count) {
  nfq::LogBatch batch(false);
  for (std::uint16_t i = 0; i < count; ++i) {
    const auto port = static_cast<std::uint16_t>(first_port + i);
    batch.add({.time = nfq::WallTime(std::chrono::milliseconds(1'795'953'600'123)),
               .event = {.kind = EventKind::mapping_made,
                         .protocol = 17,
                         .namespace_id = 1,
                         .internal = parse_endpoint("10.0.0.2:5000").value(),
                         .external = {parse_address("203.0.113.1").value(), port}},
               .namespace_name = "blue"});
  }
  return batch;
}

inline std::string text_of_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace swnat::test
