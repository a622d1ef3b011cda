// SPDX-License-Identifier: Apache-2.0
// LineTable: keeps of libdw's rows only those at which file or line change.
#include "user/symbols/line_table.h"

#include <algorithm>
#include <unordered_map>

namespace alloctrail {
namespace {

// Directories and names combine to more text than the file has; real units stay below one MiB.
constexpr size_t kMaxPathBytes = 32 << 20;

}  // namespace

LineTable::LineTable(const DwarfFile& dwarf, Dwarf_Die unit) {
  Dwarf_Lines* lines = nullptr;
  Dwarf_Files* files = nullptr;
  size_t line_count = 0;
  size_t file_count = 0;
  if (dwarf_getsrclines(&unit, &lines, &line_count) != 0) return;
  if (dwarf_getsrcfiles(&unit, &files, &file_count) != 0) return;
  copy_files(dwarf, files, file_count);
  copy_rows(lines, line_count, files, file_count);
  bytes_ += rows_.capacity() * sizeof(Row) + files_.capacity() * sizeof(std::string);
}

void LineTable::copy_files(const DwarfFile& dwarf, Dwarf_Files* files, size_t count) {
  files_.reserve(count);
  for (size_t i = 0; i < count && bytes_ < kMaxPathBytes; ++i) {
    files_.emplace_back(dwarf.checked(dwarf_filesrc(files, i, nullptr, nullptr)));
    bytes_ += files_.back().capacity();
  }
}

void LineTable::copy_rows(Dwarf_Lines* lines, size_t count, Dwarf_Files* files, size_t file_count) {
  std::unordered_map<const char*, uint32_t> numbers;
  for (size_t i = 0; i < file_count; ++i) {
    numbers.try_emplace(dwarf_filesrc(files, i, nullptr, nullptr), static_cast<uint32_t>(i));
  }
  const char* last_path = nullptr;
  Place place;
  for (size_t i = 0; i < count; ++i) {
    Dwarf_Line* line = dwarf_onesrcline(lines, i);
    Dwarf_Addr address = 0;
    int number = 0;
    bool is_end = false;
    if (dwarf_lineaddr(line, &address) != 0 || dwarf_lineno(line, &number) != 0) continue;
    if (dwarf_lineendsequence(line, &is_end) != 0) continue;
    const char* path = dwarf_linesrc(line, nullptr, nullptr);
    if (path != last_path) place.file = numbers.contains(path) ? numbers[path] : UINT32_MAX;
    last_path = path;
    place.line = is_end || number < 0 ? 0 : static_cast<uint32_t>(number);
    // Of several rows at one address the last one counts.
    if (!rows_.empty() && rows_.back().address == address) rows_.pop_back();
    const bool is_same =
        !rows_.empty() && rows_.back().place.line == place.line && rows_.back().place.file == place.file;
    if (!is_same) rows_.push_back({address, place});
  }
  rows_.shrink_to_fit();
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
