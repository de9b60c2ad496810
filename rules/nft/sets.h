// The named sets and maps of the nft table. What has an element for each namespace is in one of
// these: it is there once, and the rules can be listed without it. What has one for each member
// that is there now (wanted/member_range.h) is declared here without any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace swnat::rules {

class NftSets {
 public:
  // Each returns "@NAME". `type` is as in "typeof meta mark . ip saddr". An element of a map is as
  // in "1 : 2".
  std::string set(std::string name, std::string_view type, std::vector<std::string> elements);
  std::string map(std::string name, std::string_view type, std::vector<std::string> elements);

  // All of them without their elements.
  std::string declared() const;
  // Takes away what elements they have.
  std::string flushed() const;
  // All of them with their elements.
  std::string filled() const;

 private:
  struct Named {
    std::string_view kind;
    std::string name;
    std::string type;
    std::vector<std::string> elements;
  };
  std::string add(Named one);

  std::vector<Named> all_;
};

}  // namespace swnat::rules
