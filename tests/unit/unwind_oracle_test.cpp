// SPDX-License-Identifier: Apache-2.0
// The unwind compiler against elfutils on the files of this machine: every rule is put into words by both and must read
// the same. Also prints what compiling costs.
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include "user/elf/unwind_rows.h"
#include "user/handles.h"

namespace alloctrail {
namespace {

/// Every row of smaller files is compared; of larger ones an even selection of this many.
constexpr size_t kMaxComparedRows = 30'000;

std::string in_words(const UnwindTable& table, uint32_t rule) {
  const auto frame = [&](const char* base) {
    const unsigned rbp = AT_UNWIND_RBP_BYTES(rule);
    return fmt::format("cfa={}+{} rbp={} ra=cfa-8", base, AT_UNWIND_CFA_BYTES(rule),
                       rbp ? fmt::format("cfa-{}", rbp) : "same");
  };
  switch (AT_UNWIND_TYPE(rule)) {
    case AT_UNWIND_INVALID:
      return "none";
    case AT_UNWIND_CFA_RSP:
      return frame("r7");
    case AT_UNWIND_CFA_RBP:
      return frame("r6");
    case AT_UNWIND_STOP:
      return "stop";
    case AT_UNWIND_PLT:
      return fmt::format("cfa=plt{} rbp=same ra=cfa-8", AT_UNWIND_VALUE(rule));
    case AT_UNWIND_SIGNAL:
      return "signal";
    case AT_UNWIND_UNSUPPORTED:
      return "unsupported";
    default:
      break;
  }
  const at_unwind_side& side = table.sides.at(AT_UNWIND_VALUE(rule));
  const char* base = side.cfa % 2 == 0 ? "r7" : "r6";
  std::string text = side.cfa < AT_UNWIND_SIDE_AT_RSP ? fmt::format("cfa={}{:+}", base, side.offset)
                                                      : fmt::format("cfa=*({}{:+}){:+}", base, side.offset, side.add);
  text += side.rbp == AT_UNWIND_RBP_SAME     ? " rbp=same"
          : side.rbp == AT_UNWIND_RBP_AT_CFA ? fmt::format(" rbp=cfa{:+}", side.rbp_offset)
          : side.rbp == AT_UNWIND_RBP_AT_RBP ? fmt::format(" rbp=*(r6{:+})", side.rbp_offset)
                                             : " rbp=lost";
  return text + fmt::format(" ra=cfa{:+}", side.return_offset);
}

std::string cfa_in_words(Dwarf_Frame* frame) {
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  if (dwarf_frame_cfa(frame, &ops, &count) != 0 || count == 0) return "cfa=?";
  const auto at = [&](size_t i) { return i < count ? ops[i] : Dwarf_Op{}; };
  const auto base = [&] { return ops[0].atom == DW_OP_bregx ? ops[0].number : Dwarf_Word{ops[0].atom} - DW_OP_breg0; };
  const auto offset = [&] { return static_cast<int64_t>(ops[0].atom == DW_OP_bregx ? ops[0].number2 : ops[0].number); };
  if (count == 1) return fmt::format("cfa=r{}{:+}", base(), offset());
  if (at(1).atom == DW_OP_deref)
    return fmt::format("cfa=*(r{}{:+}){:+}", base(), offset(),
                       at(2).atom == DW_OP_plus_uconst ? static_cast<int64_t>(at(2).number) : 0);
  if (count == 9 && at(1).atom == DW_OP_breg16 && at(5).atom == DW_OP_ge && at(8).atom == DW_OP_plus)
    return fmt::format("cfa=plt{}", at(4).atom - DW_OP_lit0);
  return fmt::format("cfa=expression of {}", count);
}

std::string register_in_words(Dwarf_Frame* frame, int number) {
  Dwarf_Op memory[3];
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  if (dwarf_frame_register(frame, number, memory, &ops, &count) != 0) return "?";
  if (count == 0) return ops ? "lost" : "same";
  if (ops[0].atom == DW_OP_call_frame_cfa && count == 1) return "cfa+0";
  if (ops[0].atom == DW_OP_call_frame_cfa && count == 2 && ops[1].atom == DW_OP_plus_uconst)
    return fmt::format("cfa{:+}", static_cast<int64_t>(ops[1].number));
  if (ops[0].atom == DW_OP_call_frame_cfa && count == 2 && ops[1].atom == DW_OP_breg6)
    return fmt::format("*(r6{:+})", static_cast<int64_t>(ops[1].number));
  return fmt::format("expression of {} from {}", count, ops[0].atom);
}

std::string elfutils_in_words(Dwarf_CFI* cfi, uint64_t address) {
  Dwarf_Frame* found = nullptr;
  if (dwarf_cfi_addrframe(cfi, address, &found) != 0) return "none";
  const std::unique_ptr<Dwarf_Frame, decltype(&std::free)> frame(found, std::free);
  bool signal = false;
  dwarf_frame_info(found, nullptr, nullptr, &signal);
  if (signal) return "signal";
  const std::string caller = register_in_words(found, 16);
  if (caller == "lost") return "stop";
  return fmt::format("{} rbp={} ra={}", cfa_in_words(found), register_in_words(found, 6), caller);
}

struct Comparison {
  size_t compared = 0;
  size_t unsupported = 0;
  size_t different = 0;
  std::string first_difference;
};

/// What the file says of the code at its entry point, which may have no frame information: it has no caller.
enum class Place { Entry, Elsewhere };

void compare(const UnwindTable& table, Dwarf_CFI* cfi, uint64_t offset, uint32_t rule, Place place, Comparison& result) {
  const uint64_t address = table.image_base_vaddr + offset;
  const std::string ours = in_words(table, rule);
  std::string theirs = elfutils_in_words(cfi, address);
  if (place == Place::Entry && theirs == "none") theirs = "stop";
  result.compared++;
  if (ours == "unsupported") {
    result.unsupported++;
    return;
  }
  if (ours == theirs) return;
  if (result.different++ == 0)
    result.first_difference = fmt::format("{:#x}: ours {}, elfutils {}", address, ours, theirs);
}

Comparison compare_all(const UnwindTable& table, int fd) {
  Comparison result;
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, decltype(&elf_end)> elf(elf_begin(fd, ELF_C_READ, nullptr), elf_end);
  const std::unique_ptr<Dwarf_CFI, decltype(&dwarf_cfi_end)> cfi(dwarf_getcfi_elf(elf.get()), dwarf_cfi_end);
  if (!cfi) return result;
  GElf_Ehdr header{};
  const uint64_t entry = gelf_getehdr(elf.get(), &header) != nullptr ? header.e_entry : 0;
  const size_t stride = table.rows.size() / kMaxComparedRows + 1;
  for (size_t i = 0; i < table.rows.size(); i += stride) {
    const at_unwind_row& row = table.rows[i];
    const Place place = entry != 0 && table.image_base_vaddr + row.pc == entry ? Place::Entry : Place::Elsewhere;
    compare(table, cfi.get(), row.pc, row.rule, place, result);
    if (i + 1 == table.rows.size()) break;
    const uint32_t next = table.rows[i + 1].pc;
    for (const uint32_t offset : {row.pc + (next - row.pc) / 2, next - 1}) {
      if (offset == row.pc) continue;
      compare(table, cfi.get(), offset, rule_at(table, table.image_base_vaddr + offset), place, result);
    }
  }
  return result;
}

class UnwindOracle : public testing::TestWithParam<const char*> {};

TEST_P(UnwindOracle, EveryRowSaysWhatElfutilsSays) {
  const UniqueFd fd(::open(GetParam(), O_RDONLY | O_CLOEXEC));
  if (!fd) GTEST_SKIP() << GetParam() << " is not installed";
  const auto start = std::chrono::steady_clock::now();
  const auto table = compile_unwind_table(fd.get(), GetParam());
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(table) << table.error().message;
  const Comparison result = compare_all(*table, fd.get());
  fmt::print("{}: {} rows, {} KiB, {} functions in {:.1f} ms; {} addresses compared, {} unsupported\n", GetParam(),
             table->rows.size(), table->rows.size() * sizeof(at_unwind_row) / 1024, table->stats.functions,
             spent.count(), result.compared, result.unsupported);
  EXPECT_EQ(result.different, 0u) << result.first_difference;
  EXPECT_GE(result.compared, std::min(table->rows.size(), kMaxComparedRows / 2));
  EXPECT_LE(table->stats.unsupported_rows, 10 + table->rows.size() / 500);
  EXPECT_FALSE(table->stats.truncated);
  EXPECT_EQ(table->stats.broken, 0u);
}

#define LIBRARY(name) "/usr/lib/x86_64-linux-gnu/" name
INSTANTIATE_TEST_SUITE_P(Files, UnwindOracle,
                         testing::Values("/proc/self/exe", LIBRARY("libc.so.6"), LIBRARY("ld-linux-x86-64.so.2"),
                                         LIBRARY("libstdc++.so.6"), LIBRARY("libgcc_s.so.1"), LIBRARY("libcrypto.so.3"),
                                         LIBRARY("libssl.so.3"), LIBRARY("libm.so.6"), LIBRARY("libsqlite3.so.0"),
                                         "/usr/bin/python3.11", "/usr/bin/git", "/usr/bin/gdb", "/usr/bin/node",
                                         LIBRARY("libLLVM-14.so.1"), LIBRARY("libclang-cpp.so.14")));
#undef LIBRARY

}  // namespace
}  // namespace alloctrail
