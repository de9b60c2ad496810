// Sessions, mappings and external ports as tables.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/swnatctl_json.h"
#include "tools/swnatctl_table.h"

namespace swnat::ctl {

struct ListColumn {
  const char* name;  // as --columns has it
  const char* head;
  std::string (*cell)(const Json& item);
  Align align = Align::left;
  int spare = 0;  // as in Column
};

using ListColumns = std::span<const ListColumn>;

ListColumns session_columns();
ListColumns mapping_columns();
ListColumns port_columns();

// The columns that a text like "internal,external,bytes_out" names, which no narrow terminal leaves
// out. Throws Error, which says what is allowed.
std::vector<ListColumn> chosen_columns(ListColumns all, std::string_view text);

class ListText {
 public:
  enum class Order {
    as_it_comes,
    by_namespace,  // a reader looks for a tenant, and then for its newest traffic
  };

  ListText(std::vector<ListColumn> columns, Order order)
      : columns_(std::move(columns)), order_(order) {}

  void add(const Json& item);
  std::string text(std::size_t width);

 private:
  struct Row {
    std::uint32_t fwmark = 0;
    double idle = 0;
    std::vector<std::string> cells;
  };

  std::vector<ListColumn> columns_;
  Order order_;
  std::vector<Row> rows_;
};

}  // namespace swnat::ctl
