// SPDX-License-Identifier: Apache-2.0
// regexec(3) and not std::regex, which recurses over the length of a name that the target has chosen.
#include "user/tui/filter.h"

#include <regex.h>

#include <array>
#include <map>

namespace alloctrail {

struct Filter::Compiled {
  Compiled() = default;
  Compiled(Compiled&&) = delete;
  ~Compiled() {
    if (valid) regfree(&expression);
  }
  regex_t expression{};
  bool valid = false;
  std::map<Item, bool> known;
};

Result<Filter> Filter::compile(const std::string& expression) {
  Filter filter;
  if (expression.empty()) return filter;
  auto compiled = std::make_shared<Compiled>();
  const int failure = regcomp(&compiled->expression, expression.c_str(), REG_EXTENDED | REG_ICASE | REG_NOSUB);
  if (failure != 0) {
    std::array<char, 128> words{};
    regerror(failure, &compiled->expression, words.data(), words.size());
    return Error{.kind = ErrorKind::Usage, .message = words.data(), .hint = ""};
  }
  compiled->valid = true;
  filter.expression_ = expression;
  filter.compiled_ = std::move(compiled);
  return filter;
}

bool Filter::shows(const Item& item, const std::function<std::string()>& text) const {
  if (!compiled_) return true;
  const auto [known, is_new] = compiled_->known.try_emplace(item);
  if (is_new) known->second = regexec(&compiled_->expression, text().c_str(), 0, nullptr, 0) == 0;
  return known->second;
}

}  // namespace alloctrail
