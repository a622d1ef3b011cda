// SPDX-License-Identifier: Apache-2.0
// A BPF array map mapped into our memory: reading an element is a load, not a system call.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "user/result.h"

namespace alloctrail {

/// The mapped pages of one array map; unmapped with it.
class MappedPages {
 public:
  MappedPages() = default;
  MappedPages(void* data, size_t bytes) : data_(data), bytes_(bytes) {}
  MappedPages(MappedPages&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  MappedPages& operator=(MappedPages&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MappedPages() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }
  [[nodiscard]] void* data() const { return data_; }

  static Result<MappedPages> map(int map_fd, size_t bytes, const char* name);

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Typed view of such a map. Elements change under the reader: each is copied out field by field or as a whole.
template <class T>
class ArrayView {
 public:
  static Result<ArrayView> map(int map_fd, uint32_t elements, const char* name) {
    static_assert(sizeof(T) % 8 == 0, "the kernel rounds array elements up to 8 bytes");
    auto pages = MappedPages::map(map_fd, size_t{elements} * sizeof(T), name);
    if (!pages) return std::move(pages).error();
    ArrayView view;
    view.pages_ = *std::move(pages);
    view.size_ = elements;
    return view;
  }

  [[nodiscard]] uint32_t size() const { return size_; }
  volatile T& operator[](uint32_t index) const {
    ALLOCTRAIL_CHECK(index < size_);
    return static_cast<volatile T*>(pages_.data())[index];
  }

 private:
  MappedPages pages_;
  uint32_t size_ = 0;
};

}  // namespace alloctrail
