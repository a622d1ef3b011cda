// SPDX-License-Identifier: Apache-2.0
#include "user/output/function_name.h"

#include <array>
#include <optional>

namespace alloctrail {
namespace {

constexpr std::string_view kAnonymous = "(anonymous namespace)::";
constexpr std::string_view kInlineStd = "__cxx11::";

// Longest first: what may follow "operator" and is not the beginning of arguments.
constexpr std::array<std::string_view, 8> kBracketOperators = {"<=>", "<<=", ">>=", "->*", "<<", ">>", "->", "()"};

class Shortener {
 public:
  explicit Shortener(std::string_view name) : rest_(name) {}

  std::optional<std::string> run() {
    while (!rest_.empty()) {
      if (skip(kAnonymous) || skip(kInlineStd) || copy_operator()) continue;
      if (rest_[0] == '(') break;  // the parameters; qualifiers and clone names behind them go, too
      if (!step()) return std::nullopt;
    }
    return without_return_type();
  }

 private:
  bool skip(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  void copy(size_t count) {
    result_ += rest_.substr(0, count);
    rest_.remove_prefix(count);
  }

  bool copy_operator() {
    constexpr std::string_view kWord = "operator";
    const bool starts_word = result_.empty() || result_.back() == ':' || result_.back() == ' ';
    if (!starts_word || !rest_.starts_with(kWord)) return false;
    name_begin_ = result_.size();
    copy(kWord.size());
    for (const std::string_view one : kBracketOperators)
      if (rest_.starts_with(one)) {
        copy(one.size());
        return true;
      }
    if (!rest_.empty() && (rest_[0] == '<' || rest_[0] == '>')) copy(1);
    return true;
  }

  /// One character, or one whole bracket. False: it is never closed.
  bool step() {
    if (rest_[0] == '<') return drop_bracket('<', '>', "<>");
    if (rest_[0] == '{') return copy_bracket('{', '}');
    copy(1);
    return true;
  }

  /// Length of the bracket that `rest_` begins with. "->" closes nothing.
  std::optional<size_t> bracket_length(char open, char close) const {
    size_t depth = 0;
    for (size_t i = 0; i < rest_.size(); ++i) {
      if (rest_[i] == open) ++depth;
      if (rest_[i] == close && (i == 0 || rest_[i - 1] != '-') && --depth == 0) return i + 1;
    }
    return std::nullopt;
  }

  bool drop_bracket(char open, char close, std::string_view replacement) {
    const auto length = bracket_length(open, close);
    if (!length) return false;
    rest_.remove_prefix(*length);
    result_ += replacement;
    return true;
  }

  bool copy_bracket(char open, char close) {
    const auto length = bracket_length(open, close);
    if (!length) return false;
    copy(*length);
    return true;
  }

  /// A template's demangled name begins with its return type; an operator's own name may hold spaces.
  std::string without_return_type() const {
    const size_t space = result_.rfind(' ', name_begin_ == 0 ? std::string::npos : name_begin_ - 1);
    if (name_begin_ == 0 && result_.starts_with("operator")) return result_;
    return space == std::string::npos ? result_ : result_.substr(space + 1);
  }

  std::string_view rest_;
  std::string result_;
  size_t name_begin_ = 0;  ///< where "operator" begins; 0: not met, or at the beginning
};

}  // namespace

std::string short_function_name(std::string_view name) {
  if (name.empty() || name[0] == '<') return std::string(name);  // Rust's <T as Trait>::function
  auto shortened = Shortener(name).run();
  return shortened && !shortened->empty() ? *std::move(shortened) : std::string(name);
}

}  // namespace alloctrail
