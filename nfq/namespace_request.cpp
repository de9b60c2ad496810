#include "nfq/namespace_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "nfq/error.h"
#include "rules/text/suggestion.h"

namespace swnat::nfq {
namespace {

// Twice what names may have; each of thousands of members is compared with it.
constexpr std::size_t longest_glob = 128;

using Pieces = std::vector<rules::NamespacePiece>;
using Ranges = std::vector<NamespaceRange>;

// In as many steps as both texts are long together, for each *, whatever they are.
bool matches(std::string_view glob, std::string_view text) {
  std::size_t at = 0;
  std::size_t star = std::string_view::npos;
  std::size_t after_star = 0;  // in the text: where what the last * does not stand for begins
  for (std::size_t i = 0; i < text.size();) {
    if (at < glob.size() && glob[at] == '*') {
      star = at++;
      after_star = i;
    } else if (at < glob.size() && (glob[at] == '?' || glob[at] == text[i])) {
      ++at;
      ++i;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      i = ++after_star;
    } else {
      return false;
    }
  }
  return glob.find_first_not_of('*', at) == std::string_view::npos;
}

void add(Ranges& ranges, NamespaceId first, NamespaceId last) {
  if (!ranges.empty() && std::uint64_t{ranges.back().last} + 1 == first) {
    ranges.back().last = last;
  } else {
    ranges.push_back({first, last});
  }
}

Ranges with_name(std::string_view name, const Pieces& pieces) {
  Ranges ranges;
  for (const rules::NamespacePiece& piece : pieces) {
    if (piece.config->name == name) add(ranges, piece.first, piece.last);
  }
  return ranges;
}

Ranges of_glob(std::string_view glob, const Pieces& pieces) {
  if (glob.size() > longest_glob) {
    throw Error(fmt::format("a pattern of names has at most {} characters", longest_glob));
  }
  Ranges ranges;
  for (const rules::NamespacePiece& piece : pieces) {
    if (matches(glob, piece.config->name)) {
      add(ranges, piece.first, piece.last);
    } else if (piece.config->is_range()) {
      for (std::uint64_t id = piece.first; id <= piece.last; ++id) {
        if (!matches(glob, fmt::format("{}-{}", piece.config->name, id))) continue;
        add(ranges, static_cast<NamespaceId>(id), static_cast<NamespaceId>(id));
      }
    }
  }
  return ranges;
}

// The number behind the last "-", as a fwmark is written, and what is before that.
std::optional<NamespaceId> cut_number(std::string_view& text) {
  const std::size_t dash = text.rfind('-');
  if (dash == std::string_view::npos) return {};
  const std::string_view digits = text.substr(dash + 1);
  NamespaceId number = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || std::to_string(number) != digits) return {};
  text = text.substr(0, dash);
  return number;
}

// "vpn-1000", "vpn-1000-1099".
Ranges of_members(std::string_view text, const Pieces& pieces) {
  const auto last = cut_number(text);
  if (!last) return {};
  std::string_view before = text;
  const auto number = cut_number(before);
  const auto members = [&](std::string_view name, NamespaceId first) {
    Ranges ranges;
    for (const rules::NamespacePiece& piece : pieces) {
      const bool is_of_it = piece.config->name == name && piece.config->is_range() &&
                            piece.config->fwmark_first() <= first &&
                            piece.config->fwmark_last() >= *last;
      if (!is_of_it || first > *last || piece.first > *last || piece.last < first) continue;
      add(ranges, std::max(piece.first, first), std::min(piece.last, *last));
    }
    return ranges;
  };
  Ranges one = members(text, *last);
  return one.empty() && number ? members(before, *number) : one;
}

}  // namespace

std::vector<NamespaceRange> requested_namespaces(std::string_view text,
                                                 const rules::Config& config) {
  const Pieces pieces = rules::namespace_pieces(config);
  const bool is_glob = text.find_first_of("*?") != std::string_view::npos;
  Ranges ranges = is_glob ? of_glob(text, pieces) : with_name(text, pieces);
  if (ranges.empty() && !is_glob) ranges = of_members(text, pieces);
  if (!ranges.empty()) return ranges;
  std::vector<std::string_view> names;
  for (const rules::NamespaceConfig& each : config.namespaces) names.emplace_back(each.name);
  throw Error(
      fmt::format("'{}' is no namespace{} (allowed: a name of the configuration; of a range's "
                  "members one like vpn-1000 or some like vpn-1000-1099; a name with * and "
                  "? like 'vpn-1*' that any has)",
                  text, rules::did_you_mean(text, names)));
}

NamespaceId one_namespace(std::string_view text, const rules::Config& config) {
  const auto ranges = requested_namespaces(text, config);
  if (ranges.size() == 1 && ranges.front().first == ranges.front().last) {
    return ranges.front().first;
  }
  throw Error(fmt::format("'{}' is several namespaces; one is meant, such as {}", text,
                          rules::namespace_name(config, ranges.front().first)));
}

}  // namespace swnat::nfq
