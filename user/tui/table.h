// SPDX-License-Identifier: Apache-2.0
// A list page as lines: columns that fit the screen, the titles with the sorted one marked, a line for each row.
#pragma once

#include <vector>

#include "user/tui/cells.h"
#include "user/tui/rows.h"
#include "user/tui/view_state.h"

namespace alloctrail {

struct TableColumn;

class ListTable {
 public:
  ListTable(const Scene& scene, const ViewState& state, size_t width);

  [[nodiscard]] CellLine titles() const;
  [[nodiscard]] CellLine line(const Row& row) const;

 private:
  struct Fitted {
    const TableColumn* column;
    size_t width;
  };
  [[nodiscard]] std::string cell(const TableColumn& column, size_t width, const Row& row) const;
  [[nodiscard]] std::string name(const Row& row, size_t width) const;

  const Scene& scene_;
  const ViewState& state_;
  std::vector<Fitted> columns_;
};

/// What a page's list can be sorted by, as its columns stand from left to right.
[[nodiscard]] std::vector<SortBy> sort_choices(const ViewState& state);

}  // namespace alloctrail
