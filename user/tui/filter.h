// SPDX-License-Identifier: Apache-2.0
// Which items a list shows: a regular expression (POSIX extended, upper and lower case alike) over their names.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <tuple>

#include "user/result.h"

namespace alloctrail {

class Filter {
 public:
  /// An item by its list, process and number: what it matched once, it matches for good.
  using Item = std::tuple<int, size_t, uint32_t>;

  Filter() = default;
  /// An empty expression shows everything. Error: what is wrong with it.
  static Result<Filter> compile(const std::string& expression);

  [[nodiscard]] bool empty() const { return expression_.empty(); }
  [[nodiscard]] const std::string& expression() const { return expression_; }
  [[nodiscard]] bool shows(const Item& item, const std::function<std::string()>& text) const;

 private:
  struct Compiled;
  std::string expression_;
  std::shared_ptr<Compiled> compiled_;
};

}  // namespace alloctrail
