// SPDX-License-Identifier: Apache-2.0
// How many terminal columns a character takes. Our own table and not wcwidth(3), which answers by locale, so that
// reports and their tests do not depend on the machine.
#pragma once

#include <cstddef>

namespace alloctrail {

/// 0 for marks that combine with the character before them, 2 for wide East Asian and emoji characters, else 1.
/// Unicode 14. Not for control characters, which have no width.
[[nodiscard]] int character_width(char32_t character);

}  // namespace alloctrail
