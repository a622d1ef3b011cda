// SPDX-License-Identifier: Apache-2.0
// SymbolTable: collects candidates, chooses one name an address.
#include "user/symbols/symbol_table.h"

#include <gelf.h>

#include <algorithm>
#include <cstring>
#include <tuple>

namespace alloctrail {
namespace {

constexpr uint64_t kMaxTableBytes = 1ULL << 30;
constexpr size_t kMaxNameBytes = 16 * 1024;

struct Candidate {
  uint64_t start = 0;
  uint64_t size = 0;
  uint64_t section_end = 0;
  std::string_view name;
  bool local = false;

  /// Smaller is better. Sized before unsized (assembler labels); exported before local; then the public one of aliases:
  /// malloc before __libc_malloc, free before cfree.
  [[nodiscard]] auto order() const {
    const size_t first = std::min(name.find_first_not_of('_'), name.size());
    return std::tuple(start, size == 0, local, first, name.size(), name, ~size);
  }
};

/// The string that starts `rest`, cut at a symbol version ("memcpy@GLIBC_2.2.5"); empty if it is not terminated.
std::string_view name_in(std::string_view rest) {
  const size_t length = rest.find('\0');
  if (length == std::string_view::npos) return {};
  return rest.substr(0, std::min(length, rest.find('@', 1)));
}

std::string_view string_at(const Elf_Data& strings, uint64_t offset) {
  if (offset >= strings.d_size) return {};
  return name_in({static_cast<const char*>(strings.d_buf) + offset,
                  std::min<size_t>(strings.d_size - offset, kMaxNameBytes)});
}

bool names_code(const GElf_Sym& symbol, std::string_view name) {
  const int type = GELF_ST_TYPE(symbol.st_info);
  if (type == STT_FUNC || type == STT_GNU_IFUNC) return !name.empty();
  // Assembler functions often have no type; compilers' own labels and mapping symbols have none either.
  return type == STT_NOTYPE && !name.empty() && !name.starts_with(".L") && !name.starts_with("$");
}

const Elf_Data* data_of(const ElfImage::Section& section) {
  if (section.size_bytes == 0 || section.size_bytes > kMaxTableBytes) return nullptr;
  const Elf_Data* data = elf_getdata(section.handle, nullptr);
  return data != nullptr && data->d_buf != nullptr ? data : nullptr;
}

class Collector {
 public:
  explicit Collector(const CodeSegments& code) : code_(code) {}

  void add(const ElfImage& file) {
    std::vector<ElfImage::Section> by_index;
    for (const ElfImage::Section& section : file.sections()) {
      by_index.resize(std::max(by_index.size(), elf_ndxscn(section.handle) + 1));
      by_index[elf_ndxscn(section.handle)] = section;
    }
    for (const ElfImage::Section& section : by_index) {
      if (section.type == SHT_SYMTAB || section.type == SHT_DYNSYM) add(section, by_index);
    }
  }

  std::vector<Candidate> take() { return std::move(candidates_); }

 private:
  void add(const ElfImage::Section& table, const std::vector<ElfImage::Section>& sections) {
    if (table.link >= sections.size() || sections[table.link].type != SHT_STRTAB) return;
    Elf_Data* symbols = const_cast<Elf_Data*>(data_of(table));
    const Elf_Data* strings = data_of(sections[table.link]);
    if (symbols == nullptr || strings == nullptr || symbols->d_type != ELF_T_SYM) return;
    GElf_Sym symbol{};
    for (int i = 1; gelf_getsym(symbols, i, &symbol) != nullptr; ++i) {
      if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx >= sections.size()) continue;
      if (!code_.contains(symbol.st_value)) continue;
      const std::string_view name = string_at(*strings, symbol.st_name);
      if (!names_code(symbol, name)) continue;
      const ElfImage::Section& home = sections[symbol.st_shndx];
      candidates_.push_back({symbol.st_value, symbol.st_size, home.address + home.memory_bytes, name,
                             GELF_ST_BIND(symbol.st_info) == STB_LOCAL});
    }
  }

  const CodeSegments& code_;
  std::vector<Candidate> candidates_;
};

uint64_t end_of(const Candidate& symbol, uint64_t next_start) {
  if (symbol.size == 0) return std::min(symbol.section_end, next_start);
  return symbol.size > UINT64_MAX - symbol.start ? UINT64_MAX : symbol.start + symbol.size;
}

}  // namespace

SymbolTable::SymbolTable(std::span<const ElfImage* const> files, const CodeSegments& code) {
  Collector collector(code);
  for (const ElfImage* file : files) collector.add(*file);
  std::vector<Candidate> symbols = collector.take();
  std::sort(symbols.begin(), symbols.end(),
            [](const Candidate& a, const Candidate& b) { return a.order() < b.order(); });
  const auto same_start = [](const Candidate& a, const Candidate& b) { return a.start == b.start; };
  symbols.erase(std::unique(symbols.begin(), symbols.end(), same_start), symbols.end());

  std::vector<Range> ranges;
  ranges.reserve(symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i) {
    const uint64_t next_start = i + 1 < symbols.size() ? symbols[i + 1].start : UINT64_MAX;
    ranges.push_back({symbols[i].start, end_of(symbols[i], next_start), symbols[i].start,
                      reinterpret_cast<uint64_t>(symbols[i].name.data())});
  }
  ranges_ = RangeMap(std::move(ranges));
}

std::string_view SymbolTable::find(uint64_t address) const {
  const auto at = ranges_.find(address);
  if (!at) return {};
  const char* name = reinterpret_cast<const char*>(*at);
  return name_in({name, strnlen(name, kMaxNameBytes) + 1});
}

}  // namespace alloctrail
