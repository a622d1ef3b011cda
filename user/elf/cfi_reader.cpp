// SPDX-License-Identifier: Apache-2.0
// Splits .eh_frame or .debug_frame into its entries.
#include "user/elf/cfi_reader.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace alloctrail {
namespace {

/// Walks one section entry by entry.
class SectionReader {
 public:
  SectionReader(const CfiSection& section, CfiEntries& entries)
      : section_(section), bytes_(section.bytes.view), entries_(entries) {}

  void read() {
    for (uint64_t at = 0; at + 4 <= bytes_.size();) {
      const uint64_t next = read_entry(at);
      if (next <= at) return;
      at = next;
    }
  }

 private:
  /// Where a usable common entry begins, and its index.
  struct KnownCommon {
    uint64_t offset = 0;
    uint32_t index = 0;
  };

  /// Returns where the next entry begins; 0 if there is none.
  uint64_t read_entry(uint64_t at) {
    CfiCursor head(bytes_.subspan(at));
    uint64_t length = head.u32();
    const bool wide = length == 0xffffffff;
    if (wide) length = head.u64();
    if (length == 0) return section_.ends_at_terminator ? 0 : at + head.position();
    const uint64_t body = at + head.position();
    if (!head.ok() || length > bytes_.size() - body) return 0;

    CfiCursor cursor(bytes_.subspan(0, body + length));
    cursor.skip(body);
    const bool wide_id = wide && !is_eh();
    const uint64_t id = wide_id ? cursor.u64() : cursor.u32();
    if (!cursor.ok()) return body + length;
    const uint64_t common_id = is_eh() ? 0 : wide_id ? ~uint64_t{0} : 0xffffffff;
    if (id == common_id)
      read_common(cursor, at);
    else
      read_function(cursor, is_eh() ? body - id : id);
    return body + length;
  }

  void read_common(CfiCursor cursor, uint64_t offset) {
    CfiCommon common;
    if (entries_.commons.size() >= kMaxCfiCommons || !read_common_head(cursor, common)) return broken();
    const auto instructions = cursor.take(cursor.left());
    machine_.start(common, instructions, 0, 0);
    if (machine_.run() != CfiMachine::Step::End) return broken();
    common.initial = machine_.state();
    commons_.push_back({offset, static_cast<uint32_t>(entries_.commons.size())});
    entries_.commons.push_back(common);
  }

  bool read_common_head(CfiCursor& cursor, CfiCommon& common) {
    const uint8_t version = cursor.u8();
    if (version != 1 && version != 3 && version != 4) return false;
    const std::string_view augmentation = read_string(cursor);
    if (version == 4 && (cursor.u8() != 8 || cursor.u8() != 0)) return false;
    common.code_align = cursor.uleb();
    common.data_align = cursor.sleb();
    const uint64_t return_column = version == 1 ? cursor.u8() : cursor.uleb();
    if (!cursor.ok() || return_column != kRegisterReturn) return false;
    common.augmented = !augmentation.empty();
    if (!common.augmented) return true;
    if (augmentation.front() != 'z') return false;
    return read_augmentation(cursor, augmentation.substr(1), common);
  }

  bool read_augmentation(CfiCursor& cursor, std::string_view letters, CfiCommon& common) {
    const uint64_t size = cursor.uleb();
    const uint64_t end = cursor.position() + size;
    if (!cursor.ok() || size > cursor.left()) return false;
    for (const char letter : letters) {
      switch (letter) {
        case 'L':
          cursor.u8();
          break;
        case 'R':
          common.pointer_encoding = cursor.u8();
          break;
        case 'S':
          common.signal_frame = true;
          break;
        case 'P':
          skip_personality(cursor);
          break;
        default:
          return false;
      }
    }
    if (!cursor.ok() || cursor.position() > end) return false;
    cursor.skip(end - cursor.position());
    return true;
  }

  /// Only its size matters: indirect and odd bases are as wide as plain ones.
  static void skip_personality(CfiCursor& cursor) {
    const uint8_t encoding = cursor.u8();
    if (encoding != kPointerOmitted && !cursor.encoded(encoding & kPointerFormatMask, 0)) cursor.skip(SIZE_MAX);
  }

  static std::string_view read_string(CfiCursor& cursor) {
    const auto rest = CfiCursor(cursor).take(cursor.left());
    const std::string_view text(reinterpret_cast<const char*>(rest.data()), rest.size());
    const size_t length = text.find('\0');
    cursor.skip(length == std::string_view::npos ? SIZE_MAX : length + 1);
    return text.substr(0, length);
  }

  void read_function(CfiCursor cursor, uint64_t common_offset) {
    const auto index = find_common(common_offset);
    if (!index || entries_.functions.size() >= kMaxCfiFunctions) return broken();
    const uint8_t encoding = entries_.commons[*index].pointer_encoding;
    const auto begin = cursor.encoded(encoding, section_.vaddr);
    const auto size = cursor.encoded(encoding & kPointerFormatMask, 0);
    if (!begin || !size || *size == 0 || *begin > UINT64_MAX - *size) return broken();
    if (entries_.commons[*index].augmented) cursor.skip(cursor.uleb());
    if (!cursor.ok()) return broken();
    CfiFunction function;
    function.begin = *begin;
    function.end = *begin + *size;
    function.common = *index;
    function.instruction_offset = static_cast<uint32_t>(cursor.position());
    function.instruction_bytes = static_cast<uint32_t>(cursor.left());
    function.kind = section_.kind;
    entries_.functions.push_back(function);
  }

  [[nodiscard]] std::optional<uint32_t> find_common(uint64_t offset) const {
    if (!commons_.empty() && commons_.back().offset == offset) return commons_.back().index;
    const auto found = std::lower_bound(commons_.begin(), commons_.end(), offset,
                                        [](const KnownCommon& common, uint64_t at) { return common.offset < at; });
    if (found == commons_.end() || found->offset != offset) return std::nullopt;
    return found->index;
  }

  void broken() { entries_.broken++; }

  [[nodiscard]] bool is_eh() const { return section_.kind == CfiKind::EhFrame; }

  const CfiSection& section_;
  std::span<const std::byte> bytes_;
  CfiEntries& entries_;
  CfiMachine machine_;
  std::vector<KnownCommon> commons_;
};

}  // namespace

void read_cfi_entries(const CfiSection& section, CfiEntries& entries) {
  SectionReader(section, entries).read();
}

}  // namespace alloctrail
