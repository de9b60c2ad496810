#include "rules/iptables/chains.h"

#include <fmt/format.h>

namespace swnat::rules {

std::string iptables_program(Family family, std::string_view suffix) {
  return fmt::format("{}{}", family == Family::ipv4 ? "iptables" : "ip6tables", suffix);
}

}  // namespace swnat::rules
