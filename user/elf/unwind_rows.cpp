// SPDX-License-Identifier: Apache-2.0
// Compiles the call frame information of one ELF image into unwind tables.
#include "user/elf/unwind_rows.h"

#include <algorithm>
#include <iterator>

#include "alloctrail/unwind_lookup.h"
#include "user/elf/cfi_reader.h"
#include "user/elf/signal_restorer.h"
#include "user/elf/unwind_rule.h"

namespace alloctrail {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kMaxCodeSegments = 64;
/// .debug_frame is looked at when .eh_frame covers less than this share of the code.
constexpr uint64_t kWellCovered = 2;
constexpr uint64_t kMaxEntryBytes = 64;

/// Appends rows in ascending order, keeping the invariant of UnwindTable::rows.
class RowList {
 public:
  explicit RowList(std::vector<at_unwind_row>& rows) : rows_(rows) { rows_.push_back({0, AT_UNWIND_INVALID}); }

  void add(uint64_t offset, uint32_t rule) {
    if (rows_.back().pc == offset) rows_.pop_back();
    if (!rows_.empty() && rows_.back().rule == rule) return;
    rows_.push_back({static_cast<uint32_t>(offset), rule});
  }
  [[nodiscard]] bool full() const { return rows_.size() >= kMaxUnwindRows; }

 private:
  std::vector<at_unwind_row>& rows_;
};

/// One compilation: image in, table out.
class TableCompiler {
 public:
  explicit TableCompiler(const UnwindImage& image) : eh_frame_(image.eh_frame), entry_(image.entry_vaddr) {
    for (const ImageSegment& segment : image.segments)
      if (segment.executable && table_.segments.size() < kMaxCodeSegments) table_.segments.push_back(segment);
    const auto lower = [](const ImageSegment& a, const ImageSegment& b) { return a.vaddr < b.vaddr; };
    std::sort(table_.segments.begin(), table_.segments.end(), lower);
    if (!table_.segments.empty()) table_.image_base_vaddr = table_.segments.front().vaddr & ~(kPageBytes - 1);
  }

  UnwindTable compile(const ImageReader& reader, uint64_t code_bytes) {
    read_cfi_entries(eh_frame_, entries_);
    if (covered_bytes() < code_bytes / kWellCovered) {
      debug_frame_ = read_debug_frame(reader);
      read_cfi_entries(debug_frame_, entries_);
      table_.from_frames_alone = debug_frame_.bytes.view.empty();
    }
    table_.stats.functions = entries_.functions.size();
    clip_to_code();
    sort_functions();
    if (add_signal_restorers(reader)) sort_functions();
    if (add_entry()) sort_functions();
    compile_rows();
    table_.blocks = unwind_blocks(table_.rows);
    table_.stats.broken += entries_.broken;
    table_.stats.unsupported_rows =
        static_cast<uint64_t>(std::count_if(table_.rows.begin(), table_.rows.end(), [](const at_unwind_row& row) {
          return row.rule == AT_UNWIND_UNSUPPORTED;
        }));
    table_.sides = packer_.sides();
    return std::move(table_);
  }

 private:
  [[nodiscard]] uint64_t covered_bytes() const {
    uint64_t total = 0;
    for (const CfiFunction& function : entries_.functions) total += function.end - function.begin;
    return total;
  }

  /// Functions the linker dropped keep entries, at address 0 or nowhere; lies are cut to the code they begin in.
  void clip_to_code() {
    const uint64_t base = table_.image_base_vaddr;
    const uint64_t limit = base + std::min(kMaxUnwindImageBytes, UINT64_MAX - base);
    const auto outside = [&](CfiFunction& function) {
      for (const ImageSegment& segment : table_.segments) {
        if (function.begin == 0 || function.begin >= limit || !segment.contains(function.begin)) continue;
        function.end = std::min({function.end, segment.vaddr + segment.size_bytes, limit});
        return false;
      }
      table_.stats.broken++;
      return true;
    };
    std::erase_if(entries_.functions, outside);
  }

  /// By address; of entries for the same address the one to use comes last: .eh_frame, then the later one.
  void sort_functions() {
    const auto before = [](const CfiFunction& a, const CfiFunction& b) {
      if (a.begin != b.begin) return a.begin < b.begin;
      if (a.kind != b.kind) return a.kind == CfiKind::DebugFrame;
      return a.instruction_offset < b.instruction_offset;
    };
    if (!std::is_sorted(entries_.functions.begin(), entries_.functions.end(), before))
      std::sort(entries_.functions.begin(), entries_.functions.end(), before);
  }

  /// Where signal handlers return to has no entry in C libraries without frame information (musl): it is known by its
  /// code, as debuggers know it. Returns whether any was found.
  bool add_signal_restorers(const ImageReader& reader) {
    const std::vector<CfiFunction> restorers = find_signal_restorers(reader, table_.segments, entries_.functions);
    for (CfiFunction restorer : restorers) {
      restorer.common = static_cast<uint32_t>(entries_.commons.size());
      entries_.functions.push_back(restorer);
    }
    if (restorers.empty()) return false;
    entries_.commons.push_back(signal_restorer_common());
    table_.from_frames_alone = false;
    return true;
  }

  /// What the kernel starts has no caller. Where that code says nothing of its frame, as the loader's does, stacks that
  /// began there (constructors run before main) are whole all the same. It is small and lies right before code that has an
  /// entry. Returns whether there is such code.
  bool add_entry() {
    const auto next = std::upper_bound(entries_.functions.begin(), entries_.functions.end(), entry_,
                                       [](uint64_t address, const CfiFunction& f) { return address < f.begin; });
    if (next == entries_.functions.end() || next->begin - entry_ > kMaxEntryBytes) return false;
    if (next != entries_.functions.begin() && entry_ < std::prev(next)->end) return false;
    if (entry_ == 0 || !table_.segments.front().contains(entry_)) return false;
    CfiFunction function;
    function.begin = entry_;
    function.end = next->begin;
    function.common = static_cast<uint32_t>(entries_.commons.size());
    entries_.functions.push_back(function);
    entries_.commons.emplace_back().initial.return_address.kind = CfiRule::Kind::Undefined;
    return true;
  }

  void compile_rows() {
    RowList rows(table_.rows);
    uint64_t covered_end = table_.image_base_vaddr;
    for (size_t i = 0; i < entries_.functions.size(); i++) {
      CfiFunction function = entries_.functions[i];
      if (i + 1 < entries_.functions.size()) function.end = std::min(function.end, entries_.functions[i + 1].begin);
      if (function.end <= function.begin) continue;
      rows.add(offset(covered_end), AT_UNWIND_INVALID);  // it may be hand-written code, not padding
      covered_end = compile_function(function, rows);
      if (table_.stats.truncated) break;
    }
    rows.add(offset(covered_end), AT_UNWIND_INVALID);
  }

  /// Returns where the function's rules end: past its end, or where the table is full.
  uint64_t compile_function(const CfiFunction& function, RowList& rows) {
    const CfiSection& section = function.kind == CfiKind::EhFrame ? eh_frame_ : debug_frame_;
    const CfiCommon& common = entries_.commons[function.common];
    const auto instructions = section.bytes.view.subspan(function.instruction_offset, function.instruction_bytes);
    machine_.start(common, instructions, section.vaddr + function.instruction_offset, function.begin);
    for (;;) {
      const CfiMachine::Step step = machine_.run();
      if (machine_.location() >= function.end) return function.end;
      if ((table_.stats.truncated = rows.full())) return machine_.location();
      if (step == CfiMachine::Step::Broken) {
        table_.stats.broken++;
        rows.add(offset(machine_.location()), AT_UNWIND_INVALID);
        return function.end;
      }
      rows.add(offset(machine_.location()), packer_.pack(machine_.state(), common.signal_frame));
      if (step == CfiMachine::Step::End) return function.end;
    }
  }

  [[nodiscard]] uint64_t offset(uint64_t vaddr) const { return vaddr - table_.image_base_vaddr; }

  const CfiSection& eh_frame_;
  uint64_t entry_;
  CfiSection debug_frame_;
  CfiEntries entries_;
  CfiMachine machine_;
  UnwindRulePacker packer_;
  UnwindTable table_;
};

Result<UnwindTable> compile(const ImageReader& reader, std::string_view name) {
  const auto image = read_unwind_image(reader, name);
  if (!image) return image.error();
  return compile_unwind_table(reader, *image);
}

}  // namespace

UnwindTable compile_unwind_table(const ImageReader& reader, const UnwindImage& image) {
  return TableCompiler(image).compile(reader, image.code_bytes());
}

std::vector<at_unwind_block> unwind_blocks(const std::vector<at_unwind_row>& rows) {
  std::vector<at_unwind_block> blocks;
  uint32_t row = 0;  // the last one not after the block's start
  uint32_t next = 0;
  for (uint64_t start = 0; start <= rows.back().pc; start += AT_UNWIND_BLOCK_BYTES) {
    while (row + 1 < rows.size() && rows[row + 1].pc <= start) row++;
    next = std::max(next, row + 1);
    while (next < rows.size() && rows[next].pc < start + AT_UNWIND_BLOCK_BYTES) next++;
    blocks.push_back({row, next - row});
  }
  return blocks;
}

Result<UnwindTable> compile_unwind_table(int fd, std::string_view name) {
  auto reader = ImageReader::open(fd);
  if (!reader) return std::move(reader).error().with(name);
  return compile(*reader, name);
}

Result<UnwindTable> compile_unwind_table(std::span<const std::byte> image, std::string_view name) {
  return compile(ImageReader(image), name);
}

uint32_t rule_at(const UnwindTable& table, uint64_t vaddr) {
  const uint64_t offset = vaddr - table.image_base_vaddr;
  const uint64_t index = offset >> AT_UNWIND_BLOCK_SHIFT;
  if (index >= table.blocks.size()) return AT_UNWIND_INVALID;
  const at_unwind_block& block = table.blocks[index];
  return at_unwind_search(table.rows.data(), ~0u, block.row, block.count, static_cast<uint32_t>(offset));
}

std::optional<uint64_t> mapping_bias(const UnwindTable& table, uint64_t start, uint64_t file_offset) {
  for (const ImageSegment& segment : table.segments) {
    // Whole pages are mapped, so a mapping may begin before its segment does.
    const uint64_t first = segment.file_offset & ~(kPageBytes - 1);
    if (file_offset < first || file_offset >= segment.file_offset + segment.size_bytes) continue;
    return start - (file_offset - segment.file_offset + segment.vaddr - table.image_base_vaddr);
  }
  return std::nullopt;
}

PlacedUnwindTable place_unwind_table(const UnwindTable& table, uint32_t first_row,
                                     std::span<const uint32_t> side_indices) {
  PlacedUnwindTable placed;
  placed.rows.reserve(table.rows.size());
  placed.blocks.reserve(table.blocks.size());
  uint32_t stored_end = 0;  // the table's first row that is not stored yet; a block's first may be, with the one before
  uint32_t at = first_row;  // where it goes
  for (const at_unwind_block& block : table.blocks) {
    uint32_t start = at - (stored_end - block.row);
    const uint32_t last = start + block.count - 1;
    if (start / AT_UNWIND_CHUNK_ROWS != last / AT_UNWIND_CHUNK_ROWS) {
      start = last / AT_UNWIND_CHUNK_ROWS * AT_UNWIND_CHUNK_ROWS;
      placed.rows.resize(start - first_row);
      stored_end = block.row;
      at = start;
    }
    for (; stored_end < block.row + block.count; stored_end++, at++) {
      at_unwind_row row = table.rows[stored_end];
      if (AT_UNWIND_TYPE(row.rule) == AT_UNWIND_SIDE)
        row.rule = AT_UNWIND_RULE(AT_UNWIND_SIDE, side_indices[AT_UNWIND_VALUE(row.rule)]);
      placed.rows.push_back(row);
    }
    placed.blocks.push_back({start, block.count});
  }
  return placed;
}

}  // namespace alloctrail
