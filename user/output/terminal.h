// SPDX-License-Identifier: Apache-2.0
// What the terminal behind a descriptor is like: its width, whether colours are wanted, whether it shows UTF-8.
#pragma once

#include "user/output/text_line.h"

namespace alloctrail {

/// The user's choice.
enum class ColorWhen { Auto, Always, Never };

/// The style for text written to `fd`; -1 is a file. The user's choice goes before NO_COLOR, that before the terminal.
[[nodiscard]] TextStyle text_style(int fd, ColorWhen color);

}  // namespace alloctrail
