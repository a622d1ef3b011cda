// SPDX-License-Identifier: Apache-2.0
#include "user/elf/unwind_cache.h"

#include <fmt/core.h>

#include <cstring>

namespace alloctrail {
namespace {

/// To be raised whenever the same file gets another table, or a table other bytes.
constexpr uint64_t kVersion = 2;

/// Followed by its segments, side rules and rows. Blocks follow from the rows.
struct TableHeader {
  uint64_t image_base_vaddr;
  uint64_t segments;
  uint64_t sides;
  uint64_t rows;
  uint64_t functions;
  uint64_t broken;
  uint64_t unsupported_rows;
};

/// An ImageSegment without the padding of its last member.
struct PackedSegment {
  uint64_t file_offset;
  uint64_t vaddr;
  uint64_t size_bytes;
  uint64_t executable;
};

template <class T>
void append(std::vector<std::byte>& bytes, std::span<const T> values) {
  const auto raw_bytes = std::as_bytes(values);
  bytes.insert(bytes.end(), raw_bytes.begin(), raw_bytes.end());
}

template <class T>
std::vector<T> take(std::span<const std::byte>& bytes, uint64_t count) {
  std::vector<T> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(T));
  bytes = bytes.subspan(count * sizeof(T));
  return values;
}

std::vector<PackedSegment> packed(std::span<const ImageSegment> segments) {
  std::vector<PackedSegment> result;
  for (const ImageSegment& s : segments)
    result.push_back({s.file_offset, s.vaddr, s.size_bytes, static_cast<uint64_t>(s.executable)});
  return result;
}

bool is_searchable(const UnwindTable& table) {
  if (table.rows.empty() || table.rows.front().pc != 0 || table.rows.size() > kMaxUnwindRows + 1) return false;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const at_unwind_row& row = table.rows[i];
    if (i > 0 && table.rows[i - 1].pc >= row.pc) return false;
    const uint32_t type = AT_UNWIND_TYPE(row.rule);
    if (type > AT_UNWIND_UNSUPPORTED) return false;
    if (type == AT_UNWIND_SIDE && AT_UNWIND_VALUE(row.rule) >= table.sides.size()) return false;
  }
  return table.rows.back().pc < kMaxUnwindImageBytes;
}

}  // namespace

std::vector<std::byte> pack_unwind_table(const UnwindTable& table) {
  const TableHeader header{table.image_base_vaddr, table.segments.size(), table.sides.size(),
                           table.rows.size(),      table.stats.functions, table.stats.broken,
                           table.stats.unsupported_rows};
  std::vector<std::byte> bytes;
  append(bytes, std::span(&header, 1));
  append(bytes, std::span<const PackedSegment>(packed(table.segments)));
  append(bytes, std::span<const at_unwind_side>(table.sides));
  append(bytes, std::span<const at_unwind_row>(table.rows));
  return bytes;
}

std::optional<UnwindTable> unpack_unwind_table(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(TableHeader)) return std::nullopt;
  const TableHeader header = take<TableHeader>(bytes, 1).front();
  if (header.segments > bytes.size() || header.sides > bytes.size() || header.rows > bytes.size()) return std::nullopt;
  if (header.segments * sizeof(PackedSegment) + header.sides * sizeof(at_unwind_side) +
          header.rows * sizeof(at_unwind_row) != bytes.size())
    return std::nullopt;
  UnwindTable table;
  table.image_base_vaddr = header.image_base_vaddr;
  for (const PackedSegment& s : take<PackedSegment>(bytes, header.segments))
    table.segments.push_back({s.file_offset, s.vaddr, s.size_bytes, s.executable != 0});
  table.sides = take<at_unwind_side>(bytes, header.sides);
  table.rows = take<at_unwind_row>(bytes, header.rows);
  table.stats.functions = header.functions;
  table.stats.broken = header.broken;
  table.stats.unsupported_rows = header.unsupported_rows;
  if (!is_searchable(table)) return std::nullopt;
  table.blocks = unwind_blocks(table.rows);
  return table;
}

std::string UnwindCache::key_of(const UnwindImage& image) const {
  const std::vector<PackedSegment> segments = packed(image.segments);
  const uint64_t numbers[] = {kVersion, image.entry_vaddr, image.eh_frame.vaddr,
                              uint64_t{image.eh_frame.ends_at_terminator}};
  Fingerprint print = folder_->fingerprint(std::as_bytes(std::span(numbers)));
  print = folder_->fingerprint(std::as_bytes(std::span(segments)), print);
  print = folder_->fingerprint(image.eh_frame.bytes.view, print);
  return fmt::format("{:016x}{:016x}", print.high, print.low);
}

Result<UnwindTable> UnwindCache::table_of(int fd, std::string_view name) const {
  auto reader = ImageReader::open(fd);
  if (!reader) return std::move(reader).error().with(name);
  auto image = read_unwind_image(*reader, name);
  if (!image) return std::move(image).error();
  if (!folder_ || image->eh_frame.bytes.view.empty()) return compile_unwind_table(*reader, *image);
  const std::string key = key_of(*image);
  if (const auto bytes = folder_->read(key))
    if (auto table = unpack_unwind_table(*bytes)) return *std::move(table);
  UnwindTable table = compile_unwind_table(*reader, *image);
  if (table.from_frames_alone && !table.stats.truncated) folder_->write(key, pack_unwind_table(table));
  return table;
}

}  // namespace alloctrail
