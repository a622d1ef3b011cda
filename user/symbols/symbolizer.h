// SPDX-License-Identifier: Apache-2.0
// Address -> frames: function, source line, inlined functions, from the files a target has mapped.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "user/ids.h"
#include "user/model/snapshot.h"
#include "user/symbols/names_cache.h"
#include "user/symbols/symbol_worker.h"
#include "user/target/mappings.h"

namespace alloctrail {

/// The executable mappings of one process image as they were when its stacks were taken.
struct AddressSpace {
  Tgid pid{};
  std::vector<Mapping> mappings; ///< by ascending address
};

/// Names addresses. Never fails: what cannot be named comes back with its module and offset, or only its address.
/// Results are kept per file (device and inode), so that many processes share one library's names. ELF files are read by
/// a worker process without rights, which is started when it is first needed.
class Symbolizer {
 public:
  /// With a cache, names that an earlier run has found need no worker.
  explicit Symbolizer(std::optional<NamesCache> cache = {}, SymbolWorkerLimits limits = {});
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  /// For each of `addresses` (of a call, not of a return: see Frame::address) the functions there: inlined ones first,
  /// innermost first, the function that has the machine code last. At least one frame each.
  [[nodiscard]] std::vector<std::vector<Frame>> resolve(const AddressSpace& space, std::span<const Addr> addresses);
  [[nodiscard]] std::vector<Frame> resolve(const AddressSpace& space, Addr address);

  /// Opens the files with code, so that they can be named when the process, or its mount namespace, is gone.
  void hold_files(const AddressSpace& space);

  /// A sentence for each file of the space that could not be read, if names in it were wanted.
  [[nodiscard]] std::vector<std::string> problems(const AddressSpace& space) const;

  /// The worker process; 0 if none was needed so far.
  [[nodiscard]] pid_t worker() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace alloctrail
