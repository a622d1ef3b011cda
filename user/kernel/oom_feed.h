// SPDX-License-Identifier: Apache-2.0
// The flight recorder's kernel half as the program sees it: attached to the kernel's tracepoints, it hands out the records
// of include/alloctrail/oom.h as they were sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "user/ids.h"
#include "user/result.h"

namespace alloctrail {

struct BpfObject;

class OomFeed {
 public:
  using Record = std::vector<std::byte>;

  /// Loads the recorder alone, without any accounting; it watches every process.
  static Result<std::unique_ptr<OomFeed>> load();
  /// Attaches the recorder of an object that was loaded with one; `object` must outlive it.
  static Result<std::unique_ptr<OomFeed>> attach(BpfObject& object);
  ~OomFeed();
  OomFeed(const OomFeed&) = delete;
  OomFeed& operator=(const OomFeed&) = delete;

  /// Readable when take() has something to return.
  [[nodiscard]] int event_fd() const;
  [[nodiscard]] std::vector<Record> take();
  /// Kills of which nothing could be recorded.
  [[nodiscard]] uint64_t missed() const;

 private:
  struct Attachments;

  explicit OomFeed(BpfObject& object);
  [[nodiscard]] Status start();

  std::unique_ptr<BpfObject> own_;
  BpfObject& object_;
  std::unique_ptr<Attachments> attachments_;
  std::vector<Record> pending_;
};

}  // namespace alloctrail
