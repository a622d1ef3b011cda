// SPDX-License-Identifier: Apache-2.0
// Outliving the kill that is to be recorded.
#pragma once

namespace alloctrail {

/// Keeps our pages in memory and asks the OOM killer to take others first, each where we may. To be called when maps and
/// buffers have been made, and after a command has been started, which would inherit it.
void protect_ourselves();

}  // namespace alloctrail
