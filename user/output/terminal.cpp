// SPDX-License-Identifier: Apache-2.0
#include "user/output/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace alloctrail {
namespace {

std::string_view environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

size_t terminal_width(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

bool wants_color(bool terminal, ColorWhen choice) {
  if (choice != ColorWhen::Auto) return choice == ColorWhen::Always;
  return terminal && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

/// The locale decides, as for every other program: LC_ALL, then LC_CTYPE, then LANG.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view locale = environment(name);
    if (locale.empty()) continue;
    return locale.find("UTF-8") != locale.npos || locale.find("utf8") != locale.npos;
  }
  return false;
}

}  // namespace

TextStyle text_style(int fd, ColorWhen color) {
  const bool terminal = fd >= 0 && isatty(fd) == 1;
  TextStyle style;
  style.width = terminal ? terminal_width(fd) : 0;
  style.color = wants_color(terminal, color) ? Color::On : Color::Off;
  style.charset = !terminal || locale_is_utf8() ? Charset::Utf8 : Charset::Ascii;
  return style;
}

}  // namespace alloctrail
