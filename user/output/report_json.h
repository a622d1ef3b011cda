// SPDX-License-Identifier: Apache-2.0
// A report as machines read it: schema "alloctrail/report/1". Fields may be added to it, never renamed or removed;
// README.md describes each.
#pragma once

#include <string>
#include <string_view>

#include "user/analysis/report_table.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// One object, one process, one moment; on one line, without a newline. Valid UTF-8 whatever the names hold. `view`
/// must have been made from `snapshot`.
[[nodiscard]] std::string report_json(const Snapshot& snapshot, const ReportView& view);

/// "complete", "frame_pointers" ...: the name of include/alloctrail/records.h.
[[nodiscard]] const char* stack_status_name(at_stack_status status);

/// Several objects as one document, an array, written as they come.
class JsonDocument {
 public:
  /// The text to write for one more object.
  [[nodiscard]] std::string add(std::string_view object);
  /// The text that completes the document.
  [[nodiscard]] std::string finish();

 private:
  bool empty_ = true;
};

}  // namespace alloctrail
