// SPDX-License-Identifier: Apache-2.0
#include "user/symbols/line_header.h"

#include <dwarf.h>

#include <algorithm>
#include <utility>

#include "user/elf/cfi_cursor.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxPathBytes = 32 << 20;  // of all paths: directories and names combine to more text than the file has
constexpr uint32_t kLength64 = 0xffffffff;  // the unit length that says: a 64-bit one follows

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The NUL-terminated text that starts there.
std::string_view string_at(std::span<const std::byte> section, uint64_t offset) {
  if (offset >= section.size()) return {};
  const std::string_view rest = text_of(section.subspan(offset)).substr(0, kMaxNameBytes);
  const size_t length = rest.find('\0');
  return length == std::string_view::npos ? std::string_view() : rest.substr(0, length);
}

std::string joined(std::string_view folder, std::string_view name) {
  if (name.empty() || name.starts_with('/') || folder.empty()) return std::string(name);
  std::string path(folder);
  return path.append("/").append(name);
}

/// Reads the tables of directories and files, of either form.
class HeaderReader {
 public:
  HeaderReader(const LineSections& sections, std::span<const std::byte> bytes, std::string_view directory)
      : sections_(sections), at_(bytes), directory_(directory) {}

  std::optional<LineHeader> read(bool is_64_bit) {
    offset_bytes_ = is_64_bit ? 8 : 4;
    const uint16_t version = at_.u16();
    if (version < 2 || version > 5) return std::nullopt;
    if (version >= 5) {
      header_.address_bytes = at_.u8();
      if (at_.u8() != 0) return std::nullopt;  // segment selectors
    }
    const uint64_t header_bytes = is_64_bit ? at_.u64() : at_.u32();
    CfiCursor after_header = at_;
    after_header.skip(header_bytes);
    header_.smallest_instruction_bytes = at_.u8();
    if (version >= 4) at_.skip(1);  // instructions of a bundle: no machine that we trace has bundles
    at_.skip(1);                    // default of is_stmt
    header_.line_base = static_cast<int8_t>(at_.u8());
    header_.line_range = at_.u8();
    header_.first_special = at_.u8();
    if (header_.line_range == 0 || header_.first_special == 0) return std::nullopt;
    for (unsigned opcode = 1; opcode < header_.first_special; ++opcode) header_.operands[opcode] = at_.u8();
    const bool is_readable = version >= 5 ? read_tables() : read_old_tables();
    if (!is_readable || !at_.ok() || !after_header.ok()) return std::nullopt;
    header_.program = after_header.take(after_header.left());
    return std::move(header_);
  }

 private:
  struct Form {
    uint64_t content;
    uint64_t form;
  };

  std::string_view string() {
    CfiCursor rest = at_;
    const std::string_view text = text_of(rest.take(rest.left()));
    const size_t length = text.find('\0');
    at_.skip(length == std::string_view::npos ? at_.left() : length + 1);
    return text.substr(0, length);
  }

  uint64_t offset() { return offset_bytes_ == 8 ? at_.u64() : at_.u32(); }

  void add_file(std::string_view name, uint64_t folder) {
    const std::string_view path = folder < folders_.size() ? folders_[folder] : std::string_view();
    header_.files.push_back(path_bytes_ < kMaxPathBytes ? joined(path, name) : std::string());
    path_bytes_ += header_.files.back().size() + sizeof(std::string);
  }

  void add_folder(std::string_view name) {
    folders_.push_back(path_bytes_ < kMaxPathBytes ? joined(directory_, name) : std::string());
    path_bytes_ += folders_.back().size() + sizeof(std::string);
  }

  /// Up to version 4: texts up to an empty one. Directory 0 is the unit's, file 0 none.
  bool read_old_tables() {
    folders_.emplace_back(directory_);
    while (at_.ok() && path_bytes_ < kMaxPathBytes) {
      const std::string_view name = string();
      if (name.empty()) break;
      add_folder(name);
    }
    header_.files.emplace_back();
    while (at_.ok() && path_bytes_ < kMaxPathBytes) {
      const std::string_view name = string();
      if (name.empty()) return true;
      const uint64_t folder = at_.uleb();
      (void)at_.uleb();  // time
      (void)at_.uleb();  // size
      add_file(name, folder);
    }
    return false;
  }

  std::vector<Form> read_forms() {
    std::vector<Form> forms(at_.u8());
    for (Form& form : forms) form = {at_.uleb(), at_.uleb()};
    return forms;
  }

  /// One value of an entry; false for a form that entries do not have.
  bool read_value(uint64_t form, std::string_view& text, uint64_t& number) {
    switch (form) {
      case DW_FORM_string: text = string(); return true;
      case DW_FORM_line_strp: text = string_at(sections_.line_strings, offset()); return true;
      case DW_FORM_strp: text = string_at(sections_.strings, offset()); return true;
      case DW_FORM_udata: number = at_.uleb(); return true;
      case DW_FORM_data1: number = at_.u8(); return true;
      case DW_FORM_data2: number = at_.u16(); return true;
      case DW_FORM_data4: number = at_.u32(); return true;
      case DW_FORM_data8: number = at_.u64(); return true;
      case DW_FORM_data16: at_.skip(16); return true;
      case DW_FORM_block: at_.skip(at_.uleb()); return true;
      default: return false;
    }
  }

  template <class Add>
  bool read_table(Add add) {
    const std::vector<Form> forms = read_forms();
    const uint64_t count = at_.uleb();
    if (forms.empty()) return count == 0;
    for (uint64_t i = 0; i < count; ++i) {
      std::string_view name;
      uint64_t folder = 0;
      for (const Form& form : forms) {
        std::string_view text;
        uint64_t number = 0;
        if (!read_value(form.form, text, number) || !at_.ok()) return false;
        if (form.content == DW_LNCT_path) name = text;
        if (form.content == DW_LNCT_directory_index) folder = number;
      }
      add(name, folder);
      if (path_bytes_ >= kMaxPathBytes) return false;
    }
    return true;
  }

  bool read_tables() {
    return read_table([this](std::string_view name, uint64_t) { add_folder(name); }) &&
           read_table([this](std::string_view name, uint64_t folder) { add_file(name, folder); });
  }

  const LineSections& sections_;
  CfiCursor at_;
  std::string_view directory_;
  size_t offset_bytes_ = 4;
  std::vector<std::string> folders_;
  size_t path_bytes_ = 0;
  LineHeader header_;
};

}  // namespace

std::optional<LineHeader> read_line_header(const LineSections& sections, uint64_t offset, std::string_view directory) {
  if (offset >= sections.lines.size()) return std::nullopt;
  CfiCursor start(sections.lines.subspan(offset));
  uint64_t length = start.u32();
  const bool is_64_bit = length == kLength64;
  if (is_64_bit) length = start.u64();
  const auto bytes = start.take(length);
  if (!start.ok()) return std::nullopt;
  return HeaderReader(sections, bytes, directory).read(is_64_bit);
}

}  // namespace alloctrail
