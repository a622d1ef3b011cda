// SPDX-License-Identifier: Apache-2.0
// The terminal: paints grids, reads keys, and is as it was before on every way out. The only file that knows ncurses is
// screen.cpp.
#pragma once

#include <memory>
#include <optional>

#include "user/result.h"
#include "user/tui/cells.h"
#include "user/tui/draw.h"
#include "user/tui/key.h"

namespace alloctrail {

class Screen {
 public:
  /// Takes the terminal of standard input and output over until it is destroyed or the program crashes. Meanwhile
  /// standard error is kept back; it is printed at the end. Error: no terminal, or one that cannot be addressed.
  static Result<std::unique_ptr<Screen>> open(Color color);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  [[nodiscard]] ScreenSize size() const;
  /// To be called after SIGWINCH.
  void resize();
  void paint(const CellGrid& grid);
  /// The next key, without waiting.
  [[nodiscard]] std::optional<Key> next_key();

 private:
  explicit Screen(Color color) : color_(color) {}
  Color color_;
};

}  // namespace alloctrail
