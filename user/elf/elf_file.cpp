// SPDX-License-Identifier: Apache-2.0
// Reading ELF files with libelf, through pread only: a private mapping of a file that is probed somewhere receives the
// kernel's breakpoints, and libelf's mmap mode would hand them to us as code.
#include "user/elf/elf_file.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace alloctrail {
namespace {

// Bounds on what one file may make us read. The largest real ones (browsers with symbols) stay below.
constexpr size_t kMaxSegments = 4096;
constexpr size_t kMaxSections = 65536;
constexpr uint64_t kMaxSectionBytes = 256u << 20;
constexpr size_t kMaxImports = 1u << 20;
constexpr uint64_t kMaxNoteBytes = 64u << 10;
constexpr uint64_t kMaxNameBytes = 4096;

Elf_Scn* as_section(void* section) {
  return static_cast<Elf_Scn*>(section);
}

/// The section's bytes in memory form, or null if they are not in the file or more than is sane.
Elf_Data* section_data(Elf_Scn* section, GElf_Shdr& header) {
  if (gelf_getshdr(section, &header) == nullptr || header.sh_type == SHT_NOBITS) return nullptr;
  if (header.sh_size == 0 || header.sh_size > kMaxSectionBytes) return nullptr;
  Elf_Data* data = elf_getdata(section, nullptr);
  return data != nullptr && data->d_buf != nullptr ? data : nullptr;
}

/// A name of a string table, bounded; empty if it is none.
std::string_view table_string(Elf* elf, size_t table, size_t offset) {
  const char* text = elf_strptr(elf, table, offset);
  if (text == nullptr) return {};
  return {text, strnlen(text, kMaxNameBytes)};
}

}  // namespace

void CodeFile::CloseElf::operator()(Elf* elf) const {
  elf_end(elf);
}
CodeFile::~CodeFile() = default;
CodeFile::CodeFile(CodeFile&&) noexcept = default;
CodeFile& CodeFile::operator=(CodeFile&&) noexcept = default;

Error CodeFile::bad(std::string_view why) const {
  return {ErrorKind::NotSupported, name_ + ": " + std::string(why), "", 0};
}

Result<CodeFile> CodeFile::open(int fd, std::string name) {
  CodeFile file;
  file.fd_ = fd;
  file.name_ = std::move(name);
  struct stat status {};
  if (fstat(fd, &status) != 0)
    return Error{ErrorKind::Failed, file.name_ + ": cannot be read: " + std::strerror(errno), "", errno};
  file.file_bytes_ = static_cast<uint64_t>(std::max<off_t>(status.st_size, 0));
  if (Status headers = file.read_headers(); !headers) return std::move(headers).error();
  if (Status segments = file.read_segments(); !segments) return std::move(segments).error();
  file.read_sections();
  return file;
}

Status CodeFile::read_headers() {
  // Looked at before libelf is: it also takes archives and formats that no process has mapped as code.
  const std::vector<uint8_t> ident = read_file(0, EI_NIDENT);
  if (ident.size() < EI_NIDENT || std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0) return bad("not an ELF file");
  if (ident[EI_CLASS] == ELFCLASS32) return bad("a 32-bit ELF file; only 64-bit programs can be traced");
  if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB) return bad("an ELF file of an unknown kind");
  if (file_bytes_ < sizeof(Elf64_Ehdr)) return bad("a truncated ELF file");
  elf_version(EV_CURRENT);
  elf_.reset(elf_begin(fd_, ELF_C_READ, nullptr));
  GElf_Ehdr header;
  if (!elf_ || elf_kind(elf_.get()) != ELF_K_ELF || gelf_getehdr(elf_.get(), &header) == nullptr)
    return bad("a damaged ELF file");
  if (header.e_machine != EM_X86_64) return bad("an ELF file of another machine; only x86-64 can be traced");
  const uint64_t table_bytes = uint64_t{header.e_shnum} * header.e_shentsize;
  if (header.e_shoff > file_bytes_ || table_bytes > file_bytes_ - header.e_shoff) return bad("a truncated ELF file");
  return ok();
}

Status CodeFile::read_segments() {
  size_t count = 0;
  if (elf_getphdrnum(elf_.get(), &count) != 0 || count > kMaxSegments) return bad("a damaged ELF file");
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr header;
    if (gelf_getphdr(elf_.get(), static_cast<int>(i), &header) == nullptr) return bad("a truncated ELF file");
    if (header.p_offset > file_bytes_) continue;
    const uint64_t in_file = std::min(header.p_filesz, file_bytes_ - header.p_offset);
    if (header.p_type == PT_LOAD && header.p_vaddr <= UINT64_MAX - in_file)
      segments_.push_back({header.p_vaddr, header.p_offset, in_file, (header.p_flags & PF_X) != 0});
    if (header.p_type == PT_NOTE) read_notes(header.p_offset, std::min(in_file, kMaxNoteBytes));
    if (header.p_type == PT_INTERP) {
      const std::vector<uint8_t> path = read_file(header.p_offset, std::min(in_file, kMaxNameBytes));
      interpreter_.assign(path.begin(), std::ranges::find(path, uint8_t{0}));
    }
  }
  return ok();
}

void CodeFile::read_notes(uint64_t offset, uint64_t bytes) {
  const std::vector<uint8_t> notes = read_file(offset, bytes);
  const auto padded = [](uint64_t size) { return (size + 3) & ~uint64_t{3}; };
  uint64_t at = 0;
  while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes.data() + at, sizeof(note));
    const uint64_t name_at = at + sizeof(note);
    const uint64_t value_at = name_at + padded(note.n_namesz);
    if (value_at > notes.size() || note.n_descsz > notes.size() - value_at) return;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(&notes[name_at], "GNU", 4) == 0) {
      build_id_.clear();
      for (uint64_t i = 0; i < note.n_descsz; ++i)
        for (const int shift : {4, 0}) build_id_ += "0123456789abcdef"[notes[value_at + i] >> shift & 15];
      return;
    }
    at = std::min<uint64_t>(value_at + padded(note.n_descsz), notes.size());
  }
}

void CodeFile::read_sections() {
  size_t seen = 0;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_.get(), section)) != nullptr && seen < kMaxSections;
       ++seen) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_DYNAMIC) read_dynamic(section);
    if (header.sh_type == SHT_RELA) read_relocations(section);
  }
  std::ranges::sort(imports_, {}, &Import::slot);
  for (const Import& import : imports_) imported_.push_back(import.name);
  std::ranges::sort(imported_);
}

void CodeFile::read_dynamic(void* section) {
  GElf_Shdr header;
  Elf_Data* data = section_data(as_section(section), header);
  if (data == nullptr) return;
  GElf_Dyn entry;
  for (int i = 0; gelf_getdyn(data, i, &entry) != nullptr && entry.d_tag != DT_NULL; ++i)
    if (entry.d_tag == DT_SONAME) soname_ = table_string(elf_.get(), header.sh_link, entry.d_un.d_val);
}

void CodeFile::read_relocations(void* section) {
  GElf_Shdr header, symbols_header;
  Elf_Data* data = section_data(as_section(section), header);
  Elf_Scn* symbols = elf_getscn(elf_.get(), header.sh_link);
  if (data == nullptr || symbols == nullptr) return;
  Elf_Data* symbol_data = section_data(symbols, symbols_header);
  if (symbol_data == nullptr || symbols_header.sh_type != SHT_DYNSYM) return;
  GElf_Rela relocation;
  for (int i = 0; gelf_getrela(data, i, &relocation) != nullptr && imports_.size() < kMaxImports; ++i) {
    const uint64_t type = GELF_R_TYPE(relocation.r_info);
    if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) continue;
    GElf_Sym symbol;
    if (gelf_getsym(symbol_data, static_cast<int>(GELF_R_SYM(relocation.r_info)), &symbol) == nullptr) continue;
    const std::string_view name = table_string(elf_.get(), symbols_header.sh_link, symbol.st_name);
    if (!name.empty()) imports_.push_back({relocation.r_offset, std::string(name)});
  }
}

bool CodeFile::is_glibc_loader() const {
  return soname_.starts_with("ld-linux") || soname_.starts_with("ld.so") || soname_.starts_with("ld64.so");
}

void CodeFile::each_function(const std::function<void(const ElfFunction&)>& visit) const {
  size_t seen = 0;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf_.get(), section)) != nullptr && seen < kMaxSections;
       ++seen) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) visit_symbols(section, visit);
  }
}

void CodeFile::visit_symbols(void* section, const std::function<void(const ElfFunction&)>& visit) const {
  GElf_Shdr header;
  Elf_Data* data = section_data(as_section(section), header);
  if (data == nullptr) return;
  GElf_Sym symbol;
  for (int i = 0; gelf_getsym(data, i, &symbol) != nullptr; ++i) {
    if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
    const std::string_view name = table_string(elf_.get(), header.sh_link, symbol.st_name);
    if (name.empty()) continue;
    visit({name.substr(0, name.find('@')), symbol.st_value, symbol.st_size, GELF_ST_BIND(symbol.st_info) == STB_LOCAL});
  }
}

std::optional<uint64_t> CodeFile::file_offset(uint64_t address) const {
  for (const Segment& segment : segments_)
    if (address >= segment.address && address - segment.address < segment.file_bytes)
      return segment.file_offset + (address - segment.address);
  return std::nullopt;
}

std::optional<uint64_t> CodeFile::address_of(uint64_t file_offset) const {
  for (const Segment& segment : segments_)
    if (file_offset >= segment.file_offset && file_offset - segment.file_offset < segment.file_bytes)
      return segment.address + (file_offset - segment.file_offset);
  return std::nullopt;
}

std::vector<uint8_t> CodeFile::read_code(uint64_t address, size_t max_bytes) const {
  for (const Segment& segment : segments_) {
    if (!segment.executable || address < segment.address || address - segment.address >= segment.file_bytes) continue;
    const uint64_t into = address - segment.address;
    return read_file(segment.file_offset + into, std::min<uint64_t>(max_bytes, segment.file_bytes - into));
  }
  return {};
}

std::vector<uint8_t> CodeFile::read_file(uint64_t offset, size_t bytes) const {
  std::vector<uint8_t> out(bytes);
  size_t have = 0;
  while (have < bytes) {
    const ssize_t got = pread(fd_, out.data() + have, bytes - have, static_cast<off_t>(offset + have));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    have += static_cast<size_t>(got);
  }
  out.resize(have);
  return out;
}

std::string_view CodeFile::imported_function(uint64_t slot) const {
  const auto found = std::ranges::lower_bound(imports_, slot, {}, &Import::slot);
  return found != imports_.end() && found->slot == slot ? std::string_view(found->name) : std::string_view();
}

bool CodeFile::imports(std::string_view name) const {
  return std::ranges::binary_search(imported_, name);
}

}  // namespace alloctrail
