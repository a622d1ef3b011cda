// SPDX-License-Identifier: Apache-2.0
// Built with _XOPEN_SOURCE_EXTENDED, for ncurses' wide characters.
#include "user/tui/screen.h"

#include <curses.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>

#undef lines  // macros of term.h
#undef columns

namespace alloctrail {
namespace {

constexpr std::array kCrashes = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
constexpr const char* kMouseOff = "\x1b[?1006l\x1b[?1000l";

/// What a signal handler needs to give the terminal back. One screen at a time.
struct Rescue {
  termios modes{};
  std::array<char, 256> sequence{};
  size_t length = 0;
  int kept_errors = -1;  ///< memory that stands in for standard error
  int real_errors = -1;
};
Rescue rescue;

void add_capability(const char* name) {
  const char* text = tigetstr(const_cast<char*>(name));
  if (text == nullptr || text == reinterpret_cast<const char*>(-1)) return;
  const size_t length = std::min(std::strlen(text), rescue.sequence.size() - rescue.length);
  std::memcpy(rescue.sequence.data() + rescue.length, text, length);
  rescue.length += length;
}

/// Safe in a signal handler.
void print_kept_errors() {
  if (rescue.kept_errors < 0) return;
  dup2(rescue.real_errors, STDERR_FILENO);
  std::array<char, 1024> buffer;
  off_t at = 0;
  for (ssize_t count; (count = pread(rescue.kept_errors, buffer.data(), buffer.size(), at)) > 0; at += count)
    if (write(STDERR_FILENO, buffer.data(), static_cast<size_t>(count)) != count) break;
}

void on_crash(int number) {
  (void)!write(STDOUT_FILENO, rescue.sequence.data(), rescue.length);
  tcsetattr(STDIN_FILENO, TCSANOW, &rescue.modes);
  print_kept_errors();
  raise(number);  // SA_RESETHAND: now it kills
}

void prepare_rescue() {
  rescue.length = 0;
  tcgetattr(STDIN_FILENO, &rescue.modes);
}

void arm_rescue() {
  for (const char* name : {"sgr0", "rmkx", "cnorm", "rmcup"}) add_capability(name);
  const size_t room = rescue.sequence.size() - rescue.length;
  if (std::strlen(kMouseOff) <= room) {
    std::memcpy(rescue.sequence.data() + rescue.length, kMouseOff, std::strlen(kMouseOff));
    rescue.length += std::strlen(kMouseOff);
  }
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  for (const int number : kCrashes) sigaction(number, &action, nullptr);
}

void disarm_rescue() {
  for (const int number : kCrashes) signal(number, SIG_DFL);
}

void keep_errors_back() {
  rescue.kept_errors = memfd_create("alloctrail-errors", MFD_CLOEXEC);
  rescue.real_errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (rescue.kept_errors >= 0 && rescue.real_errors >= 0) dup2(rescue.kept_errors, STDERR_FILENO);
}

void release_errors() {
  print_kept_errors();
  close(rescue.kept_errors);
  close(rescue.real_errors);
  rescue.kept_errors = rescue.real_errors = -1;
}

enum Pair : short { kCyan = 1, kYellow, kRed };

void start_colors() {
  start_color();
  use_default_colors();
  init_pair(kCyan, COLOR_CYAN, -1);
  init_pair(kYellow, COLOR_YELLOW, -1);
  init_pair(kRed, COLOR_RED, -1);
}

struct Paint {
  attr_t attributes = A_NORMAL;
  short pair = 0;
};

/// Without colours the attributes still tell headings and warnings apart.
Paint paint_of(const Cell& cell, Color color) {
  Paint paint;
  switch (cell.look) {
    case Look::Plain: break;
    case Look::Heading: paint = {A_BOLD, 0}; break;
    case Look::Strong: paint = {A_BOLD, kCyan}; break;
    case Look::Faint: paint = {A_DIM, 0}; break;
    case Look::Warning: paint = {A_BOLD, kYellow}; break;
    case Look::Loss: paint = {A_BOLD, kRed}; break;
  }
  if (color == Color::Off) paint.pair = 0;
  if (cell.ground == Ground::Reversed) paint = {A_REVERSE, 0};
  return paint;
}

std::wstring wide(const std::string& text) {
  std::wstring result;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    wchar_t character = length == 1 ? lead : lead & (0x7f >> length);
    for (size_t i = 1; i < length && at + i < text.size(); ++i)
      character = character << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3f);
    result += character;
    at += length;
  }
  return result;
}

std::optional<Key> mouse_key() {
  MEVENT event{};
  if (getmouse(&event) != OK) return std::nullopt;
  if ((event.bstate & BUTTON4_PRESSED) != 0) return Key{.kind = Key::Kind::Up};
  if ((event.bstate & BUTTON5_PRESSED) != 0) return Key{.kind = Key::Kind::Down};
  return Key{Key::Kind::Click, 0, static_cast<size_t>(event.y), static_cast<size_t>(event.x)};
}

std::optional<Key> function_key(wint_t code) {
  switch (code) {
    case KEY_UP: return Key{.kind = Key::Kind::Up};
    case KEY_DOWN: return Key{.kind = Key::Kind::Down};
    case KEY_PPAGE: return Key{.kind = Key::Kind::PageUp};
    case KEY_NPAGE: return Key{.kind = Key::Kind::PageDown};
    case KEY_HOME: return Key{.kind = Key::Kind::Home};
    case KEY_END: return Key{.kind = Key::Kind::End};
    case KEY_ENTER: return Key{.kind = Key::Kind::Enter};
    case KEY_BTAB: return Key{.kind = Key::Kind::BackTab};
    case KEY_BACKSPACE: return Key{.kind = Key::Kind::Backspace};
    case KEY_LEFT: return Key{.character = '<'};
    case KEY_RIGHT: return Key{.character = '>'};
    case KEY_F(1): return Key{.character = '?'};
    case KEY_F(10): return Key{.character = 'q'};
    case KEY_MOUSE: return mouse_key();
    default: return std::nullopt;
  }
}

Key character_key(wint_t code) {
  switch (code) {
    case '\t': return Key{.kind = Key::Kind::Tab};
    case '\r':
    case '\n': return Key{.kind = Key::Kind::Enter};
    case 0x1b: return Key{.kind = Key::Kind::Escape};
    case 0x08:
    case 0x7f: return Key{.kind = Key::Kind::Backspace};
    default: return Key{.character = static_cast<char32_t>(code)};
  }
}

}  // namespace

Result<std::unique_ptr<Screen>> Screen::open(Color color) {
  const char* hint = "use --batch, or run it in a terminal";
  if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1)
    return Error{.message = "standard input and output are no terminal", .hint = hint};
  setlocale(LC_ALL, "");
  prepare_rescue();
  SCREEN* terminal = newterm(nullptr, stdout, stdin);
  if (terminal == nullptr) {
    const char* name = std::getenv("TERM");
    return Error{.message = std::string("the terminal '") + (name == nullptr ? "" : name) + "' is not known", .hint = hint};
  }
  set_term(terminal);
  arm_rescue();
  keep_errors_back();
  cbreak();
  noecho();
  nonl();
  nodelay(stdscr, TRUE);
  keypad(stdscr, TRUE);
  set_escdelay(25);
  curs_set(0);
  mousemask(BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED, nullptr);
  mouseinterval(0);
  if (color == Color::On && has_colors()) start_colors();
  return std::unique_ptr<Screen>(new Screen(color == Color::On && has_colors() ? Color::On : Color::Off));
}

Screen::~Screen() {
  endwin();
  disarm_rescue();
  release_errors();
}

ScreenSize Screen::size() const {
  return {static_cast<size_t>(std::max(getmaxx(stdscr), 1)), static_cast<size_t>(std::max(getmaxy(stdscr), 1))};
}

void Screen::resize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return;
  resizeterm(size.ws_row, size.ws_col);
  clearok(stdscr, TRUE);
}

void Screen::paint(const CellGrid& grid) {
  for (size_t row = 0; row < grid.height(); ++row)
    for (size_t column = 0; column < grid.width(); ++column) {
      const Cell& cell = grid.at(row, column);
      if (cell.text.empty()) continue;
      const Paint paint = paint_of(cell, color_);
      cchar_t character{};
      setcchar(&character, wide(cell.text).c_str(), paint.attributes, paint.pair, nullptr);
      mvadd_wch(static_cast<int>(row), static_cast<int>(column), &character);
    }
  refresh();
}

std::optional<Key> Screen::next_key() {
  for (;;) {
    wint_t code = 0;
    const int kind = get_wch(&code);
    if (kind == ERR) return std::nullopt;
    if (kind != KEY_CODE_YES) return character_key(code);
    if (auto key = function_key(code)) return key;
  }
}

}  // namespace alloctrail
