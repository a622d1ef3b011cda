// SPDX-License-Identifier: Apache-2.0
#include "user/options/option_group.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace alloctrail {
namespace {

std::string long_name(const std::string& names) { return names.substr(names.find("--")); }

CLI::ValidationError refusal(const std::string& name, const std::string& text, const char* expected) {
  return CLI::ValidationError(fmt::format("{} '{}': must be {}", name, text, expected));
}

}  // namespace

Error usage(std::string message, std::string hint) {
  return {ErrorKind::Usage, std::move(message), std::move(hint), 0};
}

void OptionGroup::value(const std::string& names, const char* type, const char* help, const char* expected,
                        Accept accept) {
  add(names, type, help, [name = long_name(names), expected, accept = std::move(accept)](const Words& texts) {
    if (texts.size() > 1) throw CLI::ValidationError(fmt::format("{} is given {} times", name, texts.size()));
    if (!accept(texts.at(0))) throw refusal(name, texts[0], expected);
  });
}

void OptionGroup::values(const std::string& names, const char* type, const char* help, const char* expected,
                         Accept accept) {
  add(names, type, help, [name = long_name(names), expected, accept = std::move(accept)](const Words& texts) {
    for (const std::string& text : texts) {
      if (!accept(text)) throw refusal(name, text, expected);
    }
  });
}

void OptionGroup::flag(const std::string& names, const char* help, bool& set) {
  app_.add_flag_callback(
          names, [&set] { set = true; }, help)
      ->group(title_);
}

void OptionGroup::add(const std::string& names, const char* type, const char* help,
                      std::function<void(const Words&)> take) {
  // Extra arguments off: else CLI11 takes every following word for a value, and splits "[a,b]".
  app_.add_option_function<Words>(names, take, help)->allow_extra_args(false)->group(title_)->type_name(type);
}

}  // namespace alloctrail
