// SPDX-License-Identifier: Apache-2.0
// The names of one address as bytes and back: function, source file, line, inlined; not the address itself.
#pragma once

#include <vector>

#include "user/model/snapshot.h"
#include "user/symbols/wire.h"

namespace alloctrail {

void pack_frames(const std::vector<Frame>& frames, WireWriter& out);

/// At least one frame and at most 65, with texts of bounded length; one without a name where the bytes make no sense.
[[nodiscard]] std::vector<Frame> take_frames(WireReader& in);

}  // namespace alloctrail
