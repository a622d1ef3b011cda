// SPDX-License-Identifier: Apache-2.0
// What a user can do at the screen.
#pragma once

#include <cstddef>

namespace alloctrail {

struct Key {
  enum class Kind { Character, Up, Down, PageUp, PageDown, Home, End, Enter, Escape, Tab, BackTab, Backspace, Click };
  Kind kind = Kind::Character;
  char32_t character = 0;  ///< of Character
  size_t row = 0;          ///< of Click
  size_t column = 0;
};

}  // namespace alloctrail
