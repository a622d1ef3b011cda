// SPDX-License-Identifier: Apache-2.0
// The flight recorder must outlive the kill it records.
#pragma once

namespace alloctrail {

/// Keeps our pages in memory and asks the OOM killer to take others first, each where we may. To be called when maps and
/// buffers have been made, and after a command has been started, which would inherit it.
void protect_ourselves();

/// Programs that are started while one of these lives do not inherit that request: nobody asked it for them.
class UnprotectedStart {
 public:
  UnprotectedStart();
  ~UnprotectedStart();
  UnprotectedStart(const UnprotectedStart&) = delete;
  UnprotectedStart& operator=(const UnprotectedStart&) = delete;
};

}  // namespace alloctrail
