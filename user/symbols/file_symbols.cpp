// SPDX-License-Identifier: Apache-2.0
// FileSymbols: joins the symbol table with the debug information, in the file or beside it.
#include "user/symbols/file_symbols.h"

#include <utility>

#include "user/symbols/debug_files.h"
#include "user/symbols/demangle.h"
#include "user/symbols/minidebug.h"

namespace alloctrail {
namespace {

bool has_debug_info(const ElfImage& file) {
  return file.section(".debug_info") || file.section(".zdebug_info");
}

/// What to call the function. `symbol` is empty for an inlined one. Functions local to a C++ file have no linkage name
/// in DWARF, but their symbol is one. For C, the symbol is what callers write ("malloc", where glibc's DWARF says
/// "__GI___libc_malloc"), except for the copies that the compiler makes ("foo.constprop.0").
std::string function_name(const SourceFrame& source, std::string_view symbol) {
  std::string readable = demangle(source.linkage_name);
  if (readable != source.linkage_name) return readable;
  readable = demangle(symbol);
  const bool is_copy = !source.name.empty() && symbol.starts_with(source.name + ".");
  if (!readable.empty() && !is_copy) return readable;
  return source.name.empty() ? source.linkage_name : source.name;
}

std::vector<Frame> to_frames(std::vector<SourceFrame> sources, std::string_view symbol) {
  if (sources.empty()) sources.emplace_back();
  std::vector<Frame> frames;
  for (SourceFrame& source : sources) {
    Frame& frame = frames.emplace_back();
    frame.function = function_name(source, source.inlined ? std::string_view() : symbol);
    frame.file = std::move(source.file);
    frame.line = source.line;
    frame.inlined = source.inlined;
  }
  return frames;
}

}  // namespace

FileSymbols::FileSymbols(MappedFile file, DebugFileSource& source, DebugInfoLimits limits) : file_(std::move(file)) {
  elf_ = ElfImage::from_memory(file_.bytes());
  if (!elf_) return;
  code_ = elf_->code_segments();
  minidebug_ = unpack_minidebug(*elf_);
  if (!minidebug_.empty()) minidebug_elf_ = ElfImage::from_memory(minidebug_);
  const bool has_own = has_debug_info(*elf_);
  if (!has_own) separate_ = find_debug_file(*elf_, source);
  if (separate_) separate_elf_ = ElfImage::from_memory(separate_->bytes());

  std::vector<const ElfImage*> tables{&*elf_};
  if (minidebug_elf_) tables.push_back(&*minidebug_elf_);
  if (separate_elf_) tables.push_back(&*separate_elf_);
  symbols_ = SymbolTable(tables, code_);
  if (has_own || separate_) debug_info_.emplace(separate_ ? *separate_ : file_, code_, limits, source);
}

std::vector<Frame> FileSymbols::frames_at(uint64_t file_offset) {
  const auto address = code_.address_of(file_offset);
  if (!address) return {Frame()};
  std::vector<SourceFrame> sources;
  if (debug_info_) sources = debug_info_->find(*address);
  return to_frames(std::move(sources), symbols_.find(*address));
}

void FileSymbols::drop_pages() const {
  file_.drop_pages();
  if (separate_) separate_->drop_pages();
}

}  // namespace alloctrail
