// SPDX-License-Identifier: Apache-2.0
// Reads DWARF's integers from hostile bytes: past the end every read gives zero and the cursor says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace alloctrail {

/// Pointer encodings of .eh_frame (Linux Standard Base, "DWARF Exception Header Encoding").
enum CfiPointerEncoding : uint8_t {
  kPointerAbsolute = 0x00,
  kPointerPcRelative = 0x10,
  kPointerFormatMask = 0x0f,
  kPointerBaseMask = 0xf0,
  kPointerOmitted = 0xff,
};

class CfiCursor {
 public:
  explicit CfiCursor(std::span<const std::byte> bytes)
      : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  /// False once anything was read that is not there.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] size_t position() const { return static_cast<size_t>(at_ - begin_); }
  [[nodiscard]] size_t left() const { return static_cast<size_t>(end_ - at_); }

  uint8_t u8() { return fixed<uint8_t>(); }
  uint16_t u16() { return fixed<uint16_t>(); }
  uint32_t u32() { return fixed<uint32_t>(); }
  uint64_t u64() { return fixed<uint64_t>(); }

  /// Bits beyond the 64th are dropped, as every consumer of DWARF does.
  uint64_t uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const uint8_t byte = u8();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0 || !ok_) return value;
    }
  }

  int64_t sleb() {
    uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const uint8_t byte = u8();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift = shift < 64 ? shift + 7 : shift;
      if ((byte & 0x80) != 0 && ok_) continue;
      if ((byte & 0x40) != 0 && shift < 64) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
  }

  std::span<const std::byte> take(uint64_t bytes) {
    if (bytes > left()) {
      fail();
      return {};
    }
    const std::span<const std::byte> taken(at_, static_cast<size_t>(bytes));
    at_ += bytes;
    return taken;
  }
  void skip(uint64_t bytes) { (void)take(bytes); }

  /// A pointer in one of .eh_frame's encodings; `section_vaddr` is the address of the cursor's first byte. Nothing for
  /// encodings that need more than the section (indirect, relative to text or data).
  std::optional<uint64_t> encoded(uint8_t encoding, uint64_t section_vaddr) {
    const uint64_t here = section_vaddr + position();
    const uint8_t base = encoding & kPointerBaseMask;
    if (encoding == kPointerOmitted || (base != kPointerAbsolute && base != kPointerPcRelative)) return std::nullopt;
    const auto value = unbased(encoding & kPointerFormatMask);
    if (!value || !ok_) return std::nullopt;
    return base == kPointerPcRelative ? here + *value : *value;
  }

 private:
  std::optional<uint64_t> unbased(uint8_t format) {
    switch (format) {
      case 0x00: case 0x04: case 0x0c: return u64();
      case 0x01: return uleb();
      case 0x02: return u16();
      case 0x03: return u32();
      case 0x09: return static_cast<uint64_t>(sleb());
      case 0x0a: return static_cast<uint64_t>(int64_t{fixed<int16_t>()});
      case 0x0b: return static_cast<uint64_t>(int64_t{fixed<int32_t>()});
      default: return std::nullopt;
    }
  }

  template <class T>
  T fixed() {
    T value{};
    if (left() < sizeof value) {
      fail();
      return T{};
    }
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  void fail() {
    ok_ = false;
    at_ = end_;
  }

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  bool ok_ = true;
};

}  // namespace alloctrail
