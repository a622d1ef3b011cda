// SPDX-License-Identifier: Apache-2.0
#include "user/elf/signal_restorer.h"

#include <dwarf.h>

#include <algorithm>
#include <array>

namespace alloctrail {
namespace {

constexpr std::array<std::byte, 9> kRestorer = {std::byte{0x48}, std::byte{0xc7}, std::byte{0xc0},
                                                std::byte{0x0f}, std::byte{0x00}, std::byte{0x00},
                                                std::byte{0x00}, std::byte{0x0f}, std::byte{0x05}};
/// Shorter stretches are padding.
constexpr uint64_t kFewestBytes = 16;
/// Code is looked through in files that say little about it: C libraries, not browsers.
constexpr uint64_t kMaxSearchedBytes = 16u << 20;

/// CFA = the interrupted %rsp, which lies 160 bytes above ours (the form of glibc's own entry).
constexpr std::array<std::byte, 4> kSignalCfa = {std::byte{DW_OP_breg7}, std::byte{0xa0}, std::byte{0x01},
                                                 std::byte{DW_OP_deref}};

class Search {
 public:
  explicit Search(const ImageReader& reader) : reader_(reader) {}

  void look_between(const ImageSegment& segment, uint64_t begin, uint64_t end) {
    if (end <= begin || end - begin < kFewestBytes || end - begin > left_) return;
    left_ -= end - begin;
    const auto code = reader_.read(segment.file_offset + (begin - segment.vaddr), end - begin);
    if (!code) return;
    auto at = code->view.begin();
    while ((at = std::search(at, code->view.end(), kRestorer.begin(), kRestorer.end())) != code->view.end()) {
      const uint64_t address = begin + static_cast<uint64_t>(at - code->view.begin());
      CfiFunction& found = found_.emplace_back();
      found.begin = std::max(begin, address - 1);
      found.end = address + kRestorer.size();
      at += kRestorer.size();
    }
  }

  std::vector<CfiFunction> take() { return std::move(found_); }

 private:
  const ImageReader& reader_;
  uint64_t left_ = kMaxSearchedBytes;
  std::vector<CfiFunction> found_;
};

}  // namespace

std::vector<CfiFunction> find_signal_restorers(const ImageReader& reader, std::span<const ImageSegment> segments,
                                               std::span<const CfiFunction> functions) {
  Search search(reader);
  for (const ImageSegment& segment : segments) {
    const uint64_t segment_end = segment.vaddr + segment.size_bytes;
    uint64_t covered_end = segment.vaddr;
    auto function = std::lower_bound(functions.begin(), functions.end(), segment.vaddr,
                                     [](const CfiFunction& f, uint64_t address) { return f.begin < address; });
    for (; function != functions.end() && function->begin < segment_end; ++function) {
      search.look_between(segment, covered_end, function->begin);
      covered_end = std::max(covered_end, function->end);
    }
    search.look_between(segment, covered_end, segment_end);
  }
  return search.take();
}

CfiCommon signal_restorer_common() {
  CfiCommon common;
  common.signal_frame = true;
  common.initial.cfa.kind = CfiCfa::Kind::Expression;
  common.initial.cfa.expression = kSignalCfa;
  return common;
}

}  // namespace alloctrail
