// SPDX-License-Identifier: Apache-2.0
// Finds the call frame information of an x86-64 ELF image: where its code lies and the bytes of .eh_frame and
// .debug_frame. Every offset in the file is taken for a lie until checked; cfi_reader.h reads on from the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "user/result.h"

namespace alloctrail {

/// A stretch of an image, either borrowed or owned.
struct ImageBytes {
  std::unique_ptr<std::byte[]> owned;
  std::span<const std::byte> view;
};

/// Read access to an ELF image in a file or in memory. A file is read with pread only: a private mapping of a probed
/// file would receive the kernel's breakpoints, and a shared one dies of SIGBUS when the file is cut short.
class ImageReader {
 public:
  /// Borrows the descriptor; fails if it is not a regular file.
  [[nodiscard]] static Result<ImageReader> open(int fd);
  explicit ImageReader(std::span<const std::byte> memory) : memory_(memory), size_bytes_(memory.size()) {}

  [[nodiscard]] uint64_t size_bytes() const { return size_bytes_; }
  /// All of the asked bytes, or nothing.
  [[nodiscard]] std::optional<ImageBytes> read(uint64_t offset, uint64_t size_bytes) const;

 private:
  ImageReader(int fd, uint64_t size_bytes) : fd_(fd), size_bytes_(size_bytes) {}

  int fd_ = -1;
  std::span<const std::byte> memory_;
  uint64_t size_bytes_ = 0;
};

/// A loadable part of the file.
struct ImageSegment {
  uint64_t file_offset = 0;
  uint64_t vaddr = 0;
  uint64_t size_bytes = 0;  ///< of what the file holds of it
  bool executable = false;

  [[nodiscard]] bool contains(uint64_t address) const { return address >= vaddr && address - vaddr < size_bytes; }
};

enum class CfiKind { EhFrame, DebugFrame };

struct CfiSection {
  CfiKind kind = CfiKind::EhFrame;
  uint64_t vaddr = 0;               ///< of its first byte; pc-relative pointers need it
  bool ends_at_terminator = false;  ///< its true size is unknown: a zero-length entry ends it
  ImageBytes bytes;                 ///< empty view: the image has none
};

/// The parts of an ELF image that the unwind compiler reads.
struct UnwindImage {
  std::vector<ImageSegment> segments;
  CfiSection eh_frame;
  uint64_t entry_vaddr = 0;  ///< where the file's execution begins; 0: nowhere

  [[nodiscard]] uint64_t code_bytes() const;
};

/// Larger sections are left out.
inline constexpr uint64_t kMaxCfiBytes = 128u << 20;

/// Errors: not an ELF file, not for x86-64, unreadable headers. An image without frame information is not an error.
[[nodiscard]] Result<UnwindImage> read_unwind_image(const ImageReader& reader, std::string_view name);

/// .debug_frame, which only files with debug information have; an empty view if there is none or it is compressed.
[[nodiscard]] CfiSection read_debug_frame(const ImageReader& reader);

}  // namespace alloctrail
