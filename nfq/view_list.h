// The answer that lists sessions or mappings, a piece at a time.
//
// Without an order they are told as they are met, so that the daemon keeps a few of them however
// many there are. With one, all are looked at before the first is told, and only those are kept
// that come first.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "nfq/control_lines.h"
#include "nfq/list_request.h"

namespace swnat::nfq {

// A Source has `View`, `std::optional<std::size_t> next(std::span<View>)`, which may have none and
// still not be at the end, where it has nothing, and `Json json(const View&)`. Each call is short.
template <class Source>
class ViewList {
 public:
  using View = typename Source::View;

  ViewList(Source source, const ListRequest& request)
      : source_(std::move(source)), left_(request.limit) {
    if (request.order) sorted_.emplace(*request.order, request.kept());
  }

  // As ControlAnswer::more.
  bool append_piece(std::string& text) { return sorted_ ? append_sorted(text) : append_next(text); }

 private:
  // Between two pieces the daemon does what else there is to do: none takes longer than a batch of
  // packets, whether it is lines that are written or records that are looked at.
  static constexpr std::size_t lines_max = 16;
  static constexpr std::size_t views_max = 64;

  bool append_next(std::string& text) {
    std::array<View, lines_max> views;
    const auto count =
        source_.next(std::span(views).first(std::min(lines_max, left_.value_or(lines_max))));
    for (const View& view : std::span(views).first(count.value_or(0))) {
      text += line(source_.json(view));
    }
    if (left_) *left_ -= count.value_or(0);
    const bool goes_on = count && left_ != 0u;
    if (!goes_on) text += line({{"end", true}});
    return goes_on;
  }

  bool append_sorted(std::string& text) {
    if (!order_) {
      std::array<View, views_max> views;
      const auto count = source_.next(views);
      for (const View& view : std::span(views).first(count.value_or(0))) sorted_->add(view);
      met_ += count.value_or(0);
      if (!count) order_ = sorted_->sort();
      return true;
    }
    const std::size_t count = std::min(lines_max, order_->size());
    for (const View& view : order_->first(count)) text += line(source_.json(view));
    order_ = order_->subspan(count);
    if (!order_->empty()) return true;
    text += line({{"end", true}, {"of", met_}});
    return false;
  }

  Source source_;
  std::optional<std::size_t> left_;
  std::optional<FirstOf<View>> sorted_;
  std::optional<std::span<const View>> order_;  // what of it is left to tell, once all were met
  std::uint64_t met_ = 0;
};

template <class Source>
ControlAnswer list_views(Source source, const ListRequest& request) {
  auto all = std::make_shared<ViewList<Source>>(std::move(source), request);
  return {line({{"ok", true}}), [all](std::string& text) { return all->append_piece(text); }};
}

}  // namespace swnat::nfq
