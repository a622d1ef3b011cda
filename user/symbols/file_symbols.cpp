// SPDX-License-Identifier: Apache-2.0
// FileSymbols: joins the symbol table with the debug information, in the file or beside it.
#include "user/symbols/file_symbols.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "user/symbols/debug_files.h"
#include "user/symbols/demangle.h"
#include "user/symbols/minidebug.h"

namespace alloctrail {
namespace {

constexpr size_t kMaxResolved = 100'000;
constexpr std::chrono::seconds kTimeLimit{20};

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

FileSymbols::FileSymbols(UniqueFd fd, std::string path) : fd_(std::move(fd)) {
  const auto elf = ElfImage::open(fd_.get(), ElfAccess::Read);
  if (!elf || ::fstat(fd_.get(), &opened_) != 0) return;
  is_elf_ = true;
  code_ = elf->code_segments();

  std::vector<char> unpacked = unpack_minidebug(*elf);
  const auto minidebug = unpacked.empty() ? std::nullopt : ElfImage::from_memory(unpacked);
  std::optional<DebugFile> separate;
  if (!has_debug_info(*elf)) separate = find_debug_file(*elf, path);
  const auto debug_elf = separate ? ElfImage::open(separate->fd.get(), separate->access) : std::nullopt;

  std::vector<const ElfImage*> tables{&*elf};
  if (minidebug) tables.push_back(&*minidebug);
  if (debug_elf) tables.push_back(&*debug_elf);
  symbols_ = SymbolTable(tables, code_);

  if (separate) {
    debug_info_.emplace(*std::move(separate), code_, kTimeLimit);
  } else if (has_debug_info(*elf)) {
    DebugFile same{UniqueFd(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0)), ElfAccess::Read, {}};
    debug_info_.emplace(std::move(same), code_, kTimeLimit);
  }
}

bool FileSymbols::has_changed() const {
  struct stat now {};
  if (::fstat(fd_.get(), &now) != 0) return false;
  return now.st_size != opened_.st_size || now.st_mtim.tv_sec != opened_.st_mtim.tv_sec ||
         now.st_mtim.tv_nsec != opened_.st_mtim.tv_nsec;
}

const std::vector<Frame>& FileSymbols::frames_at(uint64_t file_offset) {
  const auto known = resolved_.find(file_offset);
  if (known != resolved_.end()) return known->second;
  if (resolved_.size() >= kMaxResolved) resolved_.clear();
  return resolved_.emplace(file_offset, resolve(file_offset)).first->second;
}

std::vector<Frame> FileSymbols::resolve(uint64_t file_offset) {
  const auto address = code_.address_of(file_offset);
  if (!address) return {Frame()};
  std::vector<SourceFrame> sources;
  if (debug_info_) sources = debug_info_->find(*address);
  return to_frames(std::move(sources), symbols_.find(*address));
}

}  // namespace alloctrail
