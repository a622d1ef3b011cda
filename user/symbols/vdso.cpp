// SPDX-License-Identifier: Apache-2.0
// Vdso: one kernel has one image a word size, so our own is the target's.
#include "user/symbols/vdso.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <array>

namespace alloctrail {
namespace {

constexpr uint64_t kFirst64BitAddress = 1ULL << 32;

}  // namespace

Vdso::Vdso() {
  const uint64_t start = ::getauxval(AT_SYSINFO_EHDR);
  const auto own = read_mappings(Tgid{static_cast<uint32_t>(::getpid())});
  if (start == 0 || !own) return;
  for (const Mapping& mapping : *own) {
    if (mapping.start != start || mapping.path != "[vdso]") continue;
    const auto elf = ElfImage::from_memory({reinterpret_cast<char*>(start), mapping.end - mapping.start});
    if (!elf) return;
    size_bytes_ = mapping.end - mapping.start;
    code_ = elf->code_segments();
    const std::array<const ElfImage*, 1> tables{&*elf};
    symbols_ = SymbolTable(tables, code_);
  }
}

std::string Vdso::find(const Mapping& mapping, uint64_t address) const {
  const bool same_kind = mapping.start >= kFirst64BitAddress && mapping.end - mapping.start == size_bytes_;
  const auto own_address = code_.address_of(address - mapping.start);
  return same_kind && own_address ? std::string(symbols_.find(*own_address)) : std::string();
}

}  // namespace alloctrail
