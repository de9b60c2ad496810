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

// A Source has `View`, `std::size_t next(std::span<View>)`, where 0 is the end, and
// `Json json(const View&)`.
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
  // A client that takes one piece makes room for the next.
  static constexpr std::size_t piece_max = 64;

  bool append_next(std::string& text) {
    std::array<View, piece_max> views;
    const std::size_t count =
        source_.next(std::span(views).first(std::min(piece_max, left_.value_or(piece_max))));
    for (const View& view : std::span(views).first(count)) text += line(source_.json(view));
    if (left_) *left_ -= count;
    const bool goes_on = count != 0 && left_ != 0u;
    if (!goes_on) text += line({{"end", true}});
    return goes_on;
  }

  bool append_sorted(std::string& text) {
    if (!order_) {
      std::array<View, piece_max> views;
      const std::size_t count = source_.next(views);
      for (const View& view : std::span(views).first(count)) sorted_->add(view);
      met_ += count;
      if (count == 0) order_ = sorted_->sort();
      return true;
    }
    const std::size_t count = std::min(piece_max, order_->size());
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
