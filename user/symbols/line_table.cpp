// SPDX-License-Identifier: Apache-2.0
// LineTable: runs the line program and keeps of its rows only those at which file or line change.
#include "user/symbols/line_table.h"

#include <dwarf.h>

#include <algorithm>
#include <utility>

#include "user/elf/cfi_cursor.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxRows = 2 << 20;

/// The machine of DWARF 5, §6.2.2. Columns, statements and blocks do not matter here.
class LineMachine {
 public:
  explicit LineMachine(const LineHeader& header) : header_(header), at_(header.program) {}

  std::vector<LineTable::Row> run() {
    while (!at_.at_end() && rows_.size() < kMaxRows) {
      const uint8_t opcode = at_.u8();
      if (opcode >= header_.first_special) {
        special(static_cast<uint8_t>(opcode - header_.first_special));
      } else if (opcode == 0) {
        extended();
      } else {
        standard(opcode);
      }
    }
    return std::move(rows_);
  }

 private:
  void advance(uint64_t instructions) { address_ += instructions * header_.smallest_instruction_bytes; }

  void special(uint8_t adjusted) {
    advance(adjusted / header_.line_range);
    line_ += static_cast<uint64_t>(int64_t{header_.line_base} + adjusted % header_.line_range);
    add_row();
  }

  void standard(uint8_t opcode) {
    switch (opcode) {
      case DW_LNS_copy: add_row(); return;
      case DW_LNS_advance_pc: advance(at_.uleb()); return;
      case DW_LNS_advance_line: line_ += static_cast<uint64_t>(at_.sleb()); return;
      case DW_LNS_set_file: file_ = at_.uleb(); return;
      case DW_LNS_const_add_pc: advance((255U - header_.first_special) / header_.line_range); return;
      case DW_LNS_fixed_advance_pc: address_ += at_.u16(); return;
      default:
        for (unsigned i = 0; i < header_.operands[opcode]; ++i) (void)at_.uleb();
    }
  }

  void extended() {
    CfiCursor operation(at_.take(at_.uleb()));
    switch (operation.u8()) {
      case DW_LNE_end_sequence: end_sequence(); return;
      case DW_LNE_set_address: address_ = header_.address_bytes == 4 ? operation.u32() : operation.u64(); return;
      default: return;
    }
  }

  void add_row() {
    // Real line numbers fit 32 bits; of others nothing is known.
    add({address_, {static_cast<uint32_t>(std::min<uint64_t>(file_, UINT32_MAX)),
                    line_ <= INT32_MAX ? static_cast<uint32_t>(line_) : 0}});
  }

  void end_sequence() {
    add({address_, {}});
    address_ = 0;
    file_ = 1;
    line_ = 1;
    is_new_sequence_ = true;
  }

  /// Of several rows of a sequence at one address the last one counts.
  void add(const LineTable::Row& row) {
    if (!is_new_sequence_) {
      if (rows_.back().address == row.address) {
        rows_.back() = row;
        return;
      }
      if (rows_.back().place == row.place) return;
    }
    rows_.push_back(row);
    is_new_sequence_ = false;
  }

  const LineHeader& header_;
  CfiCursor at_;
  uint64_t address_ = 0;
  uint64_t file_ = 1;
  uint64_t line_ = 1;
  bool is_new_sequence_ = true;
  std::vector<LineTable::Row> rows_;
};

/// The end of one sequence is no gap where another one starts.
bool comes_before(const LineTable::Row& a, const LineTable::Row& b) {
  return a.address != b.address ? a.address < b.address : a.place.line == 0 && b.place.line != 0;
}

}  // namespace

LineTable::LineTable(const LineSections& sections, uint64_t offset, std::string_view directory) {
  auto header = read_line_header(sections, offset, directory);
  if (!header) return;
  rows_ = LineMachine(*header).run();
  if (!std::is_sorted(rows_.begin(), rows_.end(), comes_before))
    std::stable_sort(rows_.begin(), rows_.end(), comes_before);
  rows_.shrink_to_fit();
  files_ = std::move(header->files);
  bytes_ = rows_.capacity() * sizeof(Row) + files_.capacity() * sizeof(std::string);
  for (const std::string& file : files_) bytes_ += file.capacity();
}

LineTable::Place LineTable::find(uint64_t address) const {
  const auto after = std::upper_bound(rows_.begin(), rows_.end(), address,
                                      [](uint64_t wanted, const Row& row) { return wanted < row.address; });
  return after == rows_.begin() ? Place() : std::prev(after)->place;
}

std::string_view LineTable::file(uint64_t number) const {
  return number < files_.size() ? std::string_view(files_[number]) : std::string_view();
}

}  // namespace alloctrail
