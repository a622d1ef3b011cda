// SPDX-License-Identifier: Apache-2.0
// One ELF file opened with libelf, and the few facts of its headers that naming an address needs.
#pragma once

#include <libelf.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alloctrail {

/// The loadable segments with code: file offset <-> address as the file's own tables name it.
class CodeSegments {
 public:
  struct Segment {
    uint64_t file_offset = 0;
    uint64_t address = 0;
    uint64_t size_bytes = 0;
  };
  CodeSegments() = default;
  explicit CodeSegments(std::vector<Segment> segments) : segments_(std::move(segments)) {}

  [[nodiscard]] std::optional<uint64_t> address_of(uint64_t file_offset) const;
  [[nodiscard]] bool contains(uint64_t address) const;

 private:
  std::vector<Segment> segments_;
};

/// Owns libelf's handle, not the memory it reads, which must outlive it.
class ElfImage {
 public:
  /// Nothing if it is not an ELF file that can be read safely: wrong magic, not 64 bits wide, another machine's byte
  /// order, more than 65,279 sections. `image` is not const because libelf rewrites the header of a section that it
  /// unpacks; nothing else is written to.
  [[nodiscard]] static std::optional<ElfImage> from_memory(std::span<char> image);

  [[nodiscard]] Elf* handle() const { return elf_.get(); }
  [[nodiscard]] CodeSegments code_segments() const;
  /// The bytes of the GNU build-id note; empty if there is none.
  [[nodiscard]] std::string build_id() const;

  struct Section {
    Elf_Scn* handle = nullptr;
    std::string_view name;
    uint32_t type = 0;
    uint32_t link = 0;
    uint64_t address = 0;
    uint64_t memory_bytes = 0;    ///< in a running program, if it is loaded
    uint64_t size_bytes = 0;      ///< in the file; 0 for NOBITS
    uint64_t unpacked_bytes = 0;  ///< after decompression, as the header claims
  };
  [[nodiscard]] std::vector<Section> sections() const;
  /// The first section of that name with contents in the file.
  [[nodiscard]] std::optional<Section> section(std::string_view name) const;
  /// Its bytes as they are in the file; empty if missing or larger than `max_bytes`. Valid as long as this file is
  /// open.
  [[nodiscard]] std::string_view section_bytes(std::string_view name, size_t max_bytes) const;

 private:
  struct End {
    void operator()(Elf* elf) const { elf_end(elf); }
  };
  explicit ElfImage(Elf* elf) : elf_(elf) {}
  std::unique_ptr<Elf, End> elf_;
};

}  // namespace alloctrail
