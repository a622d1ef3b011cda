// SPDX-License-Identifier: Apache-2.0
// A file's bytes as memory of the symbol worker.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

#include "user/handles.h"

namespace alloctrail {

/// Mapped shared, so that the kernel puts nobody's breakpoints into it, and pages that are not needed cost nothing. A file
/// that is cut short meanwhile ends the reader with SIGBUS: only the worker may read files like this.
class MappedFile {
 public:
  /// Nothing if the file is empty or cannot be mapped. The descriptor is not needed any more.
  [[nodiscard]] static std::optional<MappedFile> open(const UniqueFd& fd);
  MappedFile(MappedFile&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})), headers_(std::exchange(other.headers_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(headers_, other.headers_);
    return *this;
  }
  ~MappedFile();

  /// Not const because libelf does not know const; only the section headers may be written to, in a copy.
  [[nodiscard]] std::span<char> bytes() const { return bytes_; }
  /// Undoes what libelf has written. No section may be in use that it has unpacked.
  void restore() const;
  /// Takes its pages out of this process; they come back when they are read.
  void drop_pages() const;

 private:
  explicit MappedFile(std::span<char> bytes) : bytes_(bytes) {}
  void make_section_headers_writable(int fd);

  std::span<char> bytes_;
  std::span<char> headers_;  ///< those pages of bytes_ that are our own
};

}  // namespace alloctrail
