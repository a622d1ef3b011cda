// SPDX-License-Identifier: Apache-2.0
// Address -> frames: function, source line, inlined functions, from the files a target has mapped.
#pragma once

#include <memory>
#include <vector>

#include "user/ids.h"
#include "user/model/snapshot.h"
#include "user/target/mappings.h"

namespace alloctrail {

/// The executable mappings of one process image as they were when its stacks were taken.
struct AddressSpace {
  Tgid pid{};
  std::vector<Mapping> mappings; ///< by ascending address
};

/// Names addresses. Never fails: what cannot be named comes back with its module and offset, or only its address.
/// Results are cached per file (device and inode), so that many processes share one library's names.
class Symbolizer {
 public:
  Symbolizer();
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  /// The functions at `address` (of a call, not of a return: see Frame::address): inlined ones first, innermost first,
  /// the function that has the machine code last. At least one frame.
  [[nodiscard]] std::vector<Frame> resolve(const AddressSpace& space, Addr address);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace alloctrail
