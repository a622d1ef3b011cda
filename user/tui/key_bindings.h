// SPDX-License-Identifier: Apache-2.0
// What each key does to the ViewState. Pure but for the filter's memory.
#pragma once

#include <memory>

#include "user/tui/draw.h"
#include "user/tui/key.h"
#include "user/tui/view_state.h"

namespace alloctrail {

/// `newest` is the newest scene, not the frozen one; `drawn` what the user sees. Wishes that are not the screen's to
/// fulfil are left in ViewState::wish.
void press(ViewState& state, const Key& key, const std::shared_ptr<const Scene>& newest, const Drawn& drawn);

}  // namespace alloctrail
