// SPDX-License-Identifier: Apache-2.0
// Numbers and texts as bytes and back, between the program and its symbol worker and into the cache. What is read may be
// anything: a reader that meets nonsense says so and yields zeros and empty texts from then on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace alloctrail {

class WireWriter {
 public:
  /// 7 bits a byte, the lowest first.
  void number(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(std::byte(value | 0x80));
    bytes_.push_back(std::byte(value));
  }
  void text(std::string_view value) {
    number(value.size());
    const auto bytes = std::as_bytes(std::span(value));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void append(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }
  [[nodiscard]] size_t size() const { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
};

class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> bytes) : rest_(bytes) {}

  /// A number of at most `most`.
  [[nodiscard]] uint64_t number(uint64_t most = UINT64_MAX) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint64_t>(rest_.front());
      rest_ = rest_.subspan(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value <= most ? value : fail();
    }
    return fail();
  }
  /// A text of at most `most` bytes.
  [[nodiscard]] std::string text(size_t most) {
    const size_t length = number(most);
    if (length > rest_.size()) fail();
    if (!is_good_) return {};
    std::string value(reinterpret_cast<const char*>(rest_.data()), length);
    rest_ = rest_.subspan(length);
    return value;
  }
  /// Everything made sense so far.
  [[nodiscard]] bool is_good() const { return is_good_; }
  [[nodiscard]] bool is_at_end() const { return rest_.empty(); }

 private:
  uint64_t fail() {
    is_good_ = false;
    rest_ = {};
    return 0;
  }

  std::span<const std::byte> rest_;
  bool is_good_ = true;
};

}  // namespace alloctrail
